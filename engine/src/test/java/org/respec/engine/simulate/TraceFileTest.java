package org.respec.engine.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.engine.BadInput;
import org.respec.engine.speculation.AcceptanceTable;

class TraceFileTest {
    private static final AcceptanceTable BASE = new AcceptanceTable(new double[][] {{0.6, 0.2}, {0.5, 0.2}, {0.5, 0.1}});

    private static List<TraceRequest> parse(String text) {
        return TraceFile.parse("trace.jsonl", text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void linesAreRequests() {
        List<TraceRequest> trace = parse("""
            {"tokens": 812}

            {"tokens": 95, "arrival": 1.5, "group": 3, "accept_per_depth": [0.8, [0.5, 0.25]]}""");
        AcceptanceTable own = new AcceptanceTable(new double[][] {{0.8}, {0.5, 0.25}});
        assertEquals(List.of(new TraceRequest(812, 0, -1, null), new TraceRequest(95, 1.5, 3, own)), trace);
    }

    @Test
    void whatIsWrittenIsReadTheSame(@TempDir Path folder) {
        Path file = folder.resolve("trace.jsonl");
        List<TraceRequest> trace = new TraceGenerator(500, 300, 1.2, 4000, 8, 0.5).generate(3, BASE);
        TraceFile.write(file, trace);
        assertEquals(trace, TraceFile.read(file));
        List<TraceRequest> plain = List.of(new TraceRequest(7, 2.25, -1, null), new TraceRequest(1, 0, 0, null));
        TraceFile.write(file, plain);
        assertEquals(plain, TraceFile.read(file));
    }

    /** Lengths are log-normal about the median, cut at the longest, and acceptance scatters about the base. */
    @Test
    void madeUpRequestsHaveALongTail() {
        List<TraceRequest> trace = new TraceGenerator(20_000, 300, 1, 4000, 10, 0.5).generate(4, BASE);
        long shorter = trace.stream().filter(r -> r.tokens() < 300).count();
        long long7 = trace.stream().filter(r -> r.tokens() > 300 * Math.exp(1.96)).count();
        long cut = trace.stream().filter(r -> r.tokens() == 4000).count();
        assertEquals(10_000, shorter, 300);
        assertEquals(500, long7, 80);
        assertEquals(20_000 * 0.0048, cut, 40);
        double first = 0;
        for (int i = 0; i < trace.size(); i += 10) {
            double sum = trace.get(i).acceptance().chance(1, 0) + trace.get(i).acceptance().chance(1, 1);
            first += Math.log(sum / (1 - sum)) / 2000;
            assertEquals(trace.get(i).acceptance(), trace.get(i + 9).acceptance());
        }
        assertEquals(Math.log(0.8 / 0.2), first, 0.05);
        assertEquals(2000, trace.stream().map(TraceRequest::group).distinct().count());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        ``                                  | trace.jsonl: it has no requests
        {"tokens": 1}x                      | trace.jsonl, line 1: it cannot be read as JSON
        {}                                  | trace.jsonl, line 1: tokens is missing; add it.
        {"tokens": 0}                       | trace.jsonl, line 1: tokens must be a whole number from 1 to 10000000, not 0.
        {"token": 5}                        | trace.jsonl, line 1: token is not a known field; the nearest known one is tokens.
        {"tokens": 5, "arrival": -1}        | trace.jsonl, line 1: arrival must be a number from 0 to 1000000000, not -1.
        {"tokens": 5, "group": 1.5}         | trace.jsonl, line 1: group must be a whole number from 0 to 2147483647, not 1.5.
        {"tokens": 5, "accept_per_depth": [1.5]} | trace.jsonl, line 1: accept_per_depth[0] must be a number from 0 to 1, not 1.5.
        """)
    void faultsAreNamed(String text, String message) {
        BadInput e = assertThrows(BadInput.class, () -> parse(text));
        assertTrue(e.getMessage().startsWith(message), e.getMessage());
        assertEquals(1, e.getMessage().lines().count());
        BadInput later = assertThrows(BadInput.class, () -> parse("{\"tokens\": 3}\n\n" + (text.isEmpty() ? "7" : text)));
        assertTrue(later.getMessage().startsWith("trace.jsonl, line 3: "), later.getMessage());
    }

    @Test
    void mutatedTracesAreReadOrRefused() {
        SplittableRandom random = new SplittableRandom(14);
        String valid = "{\"tokens\": 812, \"group\": 2}\n{\"tokens\": 95, \"arrival\": 1.5, \"accept_per_depth\": [0.8, [0.5, 0.25]]}\n";
        int read = 0;
        for (int round = 0; round < 20_000; round++) {
            byte[] bytes = valid.getBytes(StandardCharsets.UTF_8);
            for (int edit = random.nextInt(3); edit >= 0; edit--) {
                int at = random.nextInt(bytes.length);
                bytes[at] = (byte) (random.nextBoolean() ? random.nextInt(256) : "0123456789-.eE,:{}[]\"\n tf".charAt(random.nextInt(25)));
            }
            try {
                read += TraceFile.parse("trace.jsonl", bytes).isEmpty() ? 0 : 1;
            } catch (BadInput e) {
                assertEquals(1, e.getMessage().lines().count(), e.getMessage());
            } catch (RuntimeException e) {
                throw new AssertionError("round " + round + ": " + new String(bytes, StandardCharsets.ISO_8859_1), e);
            }
        }
        assertTrue(read > 200, read + " read");
    }
}

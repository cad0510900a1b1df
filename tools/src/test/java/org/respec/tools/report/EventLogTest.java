package org.respec.tools.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;

/** Event files, read back by a reader that was written from the format's definition alone: its own CRC, varints and field numbers. */
class EventLogTest {
    @TempDir
    private Path folder;

    /** An event as the reader sees it; version is null but for the first one. */
    private record Event(double time, long step, String version, Map<String, Float> values) {
    }

    private static String line(int iteration) {
        return "{\"iteration\":" + iteration + ",\"time\":" + (1_700_000_000.5 + iteration) + ",\"reward\":0." + iteration
            + ",\"loss\":\"NaN\",\"plan\":\"off\",\"plans\":{\"off\":" + 3 * iteration
            + "},\"seconds\":{\"rollout\":1e-3},\"response_length\":{\"counts\":[1,2]},\"steps_by_live\":{\"1\":{\"off\":[1,2,3,4]}}}";
    }

    private void metrics(int iterations) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = 1; i <= iterations; i++) {
            text.append(line(i)).append('\n');
        }
        Files.writeString(folder.resolve("metrics.jsonl"), text.toString());
    }

    private static ObjectNode json(String line) throws IOException {
        return (ObjectNode) new JsonMapper().readTree(line);
    }

    private Path file() throws IOException {
        try (var files = Files.list(folder)) {
            List<Path> events = files.filter(f -> f.getFileName().toString().contains("tfevents")).toList();
            assertEquals(1, events.size(), events.toString());
            return events.getFirst();
        }
    }

    @Test
    void scalarsOfEveryIterationComeBack() throws IOException {
        metrics(2);
        try (EventLog log = EventLog.open(folder)) {
            log.iterated(json(line(3)));
        }
        List<Event> events = read(Files.readAllBytes(file()));
        assertEquals(4, events.size());
        assertEquals("brain.Event:2", events.get(0).version);
        for (int i = 1; i <= 3; i++) {
            Event event = events.get(i);
            assertEquals(i, event.step);
            assertEquals(1_700_000_000.5 + i, event.time);
            assertEquals(Map.of("reward", Float.parseFloat("0." + i), "plans/off", 3f * i, "seconds/rollout", 1e-3f), event.values);
        }
        assertTrue(file().getFileName().toString().matches("events\\.out\\.tfevents\\.\\d{10}\\.respec"), file().toString());
    }

    @Test
    void aResumedRunRepeatsNoStep() throws IOException {
        metrics(3);
        EventLog.open(folder).close();
        byte[] three = Files.readAllBytes(file());
        // Killed at iteration 3, resumed from the checkpoint of 1.
        metrics(1);
        try (EventLog log = EventLog.open(folder)) {
            assertEquals(List.of(0L, 1L), steps());
            log.iterated(json(line(2)));
            log.iterated(json(line(3)));
        }
        assertEquals(List.of(0L, 1L, 2L, 3L), steps());
        assertArrayEquals(three, Files.readAllBytes(file()), "resumed, the file has the bytes of an unbroken run");
    }

    @Test
    void aHalfWrittenRecordIsCut() throws IOException {
        metrics(3);
        EventLog.open(folder).close();
        byte[] whole = Files.readAllBytes(file());
        int twoSteps = endOfRecord(whole, 3);
        for (int length = twoSteps; length < whole.length; length++) {
            Files.write(file(), Arrays.copyOf(whole, length));
            metrics(2);
            EventLog.open(folder).close();
            assertEquals(twoSteps, Files.size(file()), "cut at " + length);
            metrics(3);
            Files.write(file(), Arrays.copyOf(whole, length));
            EventLog.open(folder).close();
            assertArrayEquals(whole, Files.readAllBytes(file()), "cut at " + length + ", then made whole from the metrics");
        }
    }

    @Test
    void anyDamagedByteIsFound() throws IOException {
        metrics(2);
        EventLog.open(folder).close();
        byte[] whole = Files.readAllBytes(file());
        for (int at = 0; at < whole.length; at++) {
            byte[] damaged = whole.clone();
            damaged[at] ^= (byte) (1 << at % 8);
            Files.write(file(), damaged);
            EventLog.open(folder).close();
            assertArrayEquals(whole, Files.readAllBytes(file()), "byte " + at);
        }
    }

    @Test
    void aRunWithoutMetricsBeginsWithTheHeader() throws IOException {
        EventLog.open(folder).close();
        assertEquals(1, read(Files.readAllBytes(file())).size());
    }

    @Test
    void whatCannotBeWrittenIsSaid() {
        BadInput e = assertThrows(BadInput.class, () -> EventLog.open(folder.resolve("nowhere")));
        assertTrue(e.getMessage().contains("nowhere"), e.getMessage());
    }

    private List<Long> steps() throws IOException {
        return read(Files.readAllBytes(file())).stream().map(Event::step).toList();
    }

    // ------------------------------------------------------------------------------------------------------------ a reader

    private static int endOfRecord(byte[] file, int records) {
        int at = 0;
        for (int i = 0; i < records; i++) {
            at += 16 + (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong(at);
        }
        return at;
    }

    private static List<Event> read(byte[] file) {
        List<Event> events = new ArrayList<>();
        ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        while (in.hasRemaining()) {
            int at = in.position();
            int length = Math.toIntExact(in.getLong());
            assertEquals(masked(file, at, 8), Integer.toUnsignedLong(in.getInt()), "CRC of a length");
            int data = in.position();
            in.position(data + length);
            assertEquals(masked(file, data, length), Integer.toUnsignedLong(in.getInt()), "CRC of data");
            events.add(event(ByteBuffer.wrap(file, data, length).slice().order(ByteOrder.LITTLE_ENDIAN)));
        }
        return events;
    }

    private static Event event(ByteBuffer in) {
        double time = 0;
        long step = 0;
        String version = null;
        Map<String, Float> values = new TreeMap<>();
        while (in.hasRemaining()) {
            switch ((int) varint(in)) {
                case 1 << 3 | 1 -> time = in.getDouble();
                case 2 << 3 -> step = varint(in);
                case 3 << 3 | 2 -> version = text(bytes(in));
                case 5 << 3 | 2 -> {
                    ByteBuffer summary = bytes(in);
                    while (summary.hasRemaining()) {
                        assertEquals(1 << 3 | 2, varint(summary), "Summary.value");
                        ByteBuffer value = bytes(summary);
                        assertEquals(1 << 3 | 2, varint(value), "Value.tag");
                        String tag = text(bytes(value));
                        assertEquals(2 << 3 | 5, varint(value), "Value.simple_value");
                        assertEquals(null, values.put(tag, value.getFloat()), tag + " twice");
                        assertTrue(!value.hasRemaining());
                    }
                }
                default -> throw new AssertionError("a field that event.proto does not have");
            }
        }
        return new Event(time, step, version, values);
    }

    private static long varint(ByteBuffer in) {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte next = in.get();
            value |= (long) (next & 0x7f) << shift;
            if (next >= 0) {
                return value;
            }
        }
    }

    private static ByteBuffer bytes(ByteBuffer in) {
        int length = (int) varint(in);
        ByteBuffer part = in.slice(in.position(), length).order(ByteOrder.LITTLE_ENDIAN);
        in.position(in.position() + length);
        return part;
    }

    private static String text(ByteBuffer bytes) {
        return StandardCharsets.UTF_8.decode(bytes).toString();
    }

    /** CRC32C bit by bit, masked. */
    private static long masked(byte[] bytes, int offset, int length) {
        int crc = ~0;
        for (int i = offset; i < offset + length; i++) {
            crc ^= bytes[i] & 0xff;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
            }
        }
        long unsigned = Integer.toUnsignedLong(~crc);
        return ((unsigned >>> 15 | unsigned << 17) + 0xa282ead8L) & 0xffffffffL;
    }
}

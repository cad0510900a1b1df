package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code bench decode} on the CPU: what it reports, and what it refuses. */
class BenchDecodeCommandTest {
    @TempDir
    private Path folder;

    @Test
    void acceptanceIsAsSetAndEveryStageIsTimed() throws IOException {
        Path file = folder.resolve("decode.json");
        // Of 4 requests and 10 steps: 20 trees accept a first level, 10 of them a second; each gains its bonus token too.
        assertEquals(0, Main.execute("bench", "decode", "--device", "cpu", "--shape", "tiny", "--batch", "4", "--speculation", "off,2x2x4",
            "--acceptance", "0.5,0.5", "--context", "33", "--steps", "10", "--warm-up", "2", "--json", file.toString()));
        JsonNode root = new JsonMapper().readTree(file.toFile());
        assertTrue(root.path("copy_bytes_per_second").doubleValue() > 0);
        JsonNode off = root.path("rows").get(0);
        JsonNode on = root.path("rows").get(1);
        assertEquals("off", off.path("speculation").textValue());
        assertEquals(1, off.path("tokens_per_request_and_step").doubleValue());
        assertEquals(0, off.at("/stage_seconds/draft").doubleValue());
        assertEquals("2x2x4", on.path("speculation").textValue());
        assertEquals(1 + 0.5 + 0.25, on.path("tokens_per_request_and_step").doubleValue(), 0.026);
        for (String stage : new String[] {"draft", "verify", "sample", "commit"}) {
            assertTrue(on.path("stage_seconds").path(stage).doubleValue() > 0, on.toString());
        }
        for (JsonNode row : root.path("rows")) {
            assertTrue(row.path("step_seconds").doubleValue() > 0 && row.path("tokens_per_second").doubleValue() > 0, row.toString());
        }
        // Tied head of 96 x 64, 3 layers of 64 x (64 + 32 + 32) + 64 x 64 + 3 x 64 x 96 and norms, in floats.
        long layer = 64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 96 + 2 * 64 + 2 * 32;
        assertEquals(4 * (96 * 64 + 64 + 3 * layer), off.path("weight_bytes_per_step").longValue());
        assertTrue(on.path("weight_bytes_per_step").longValue() > off.path("weight_bytes_per_step").longValue());
    }

    @Test
    void badInputIsNamed() {
        assertBad("no shape 'x'", "--shape", "x");
        assertBad("--batch: 0", "--batch", "0");
        assertBad("acceptance is set", "--speculation", "adaptive");
        assertBad("shares from 0 to 1", "--acceptance", "1.5");
        assertBad("at most the shape's 512", "--shape", "tiny", "--context", "500");
        assertBad("--dtype", "--dtype", "f16");
        assertBad("does not exist", "--json", folder.resolve("none").resolve("x.json").toString());
        // 14 billion weights in floats and their packed copies: more than most machines that run this test have.
        assertBad("are free; choose a smaller", "--shape", "qwen2.5-14b", "--device", "cpu");
    }

    private static void assertBad(String fragment, String... more) {
        PrintStream err = System.err;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        System.setErr(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            String[] arguments = new String[more.length + 2];
            arguments[0] = "bench";
            arguments[1] = "decode";
            System.arraycopy(more, 0, arguments, 2, more.length);
            assertEquals(2, Main.execute(arguments));
        } finally {
            System.setErr(err);
        }
        String said = bytes.toString(StandardCharsets.UTF_8);
        assertTrue(said.contains(fragment), said);
        assertEquals(1, said.lines().count(), said);
    }
}

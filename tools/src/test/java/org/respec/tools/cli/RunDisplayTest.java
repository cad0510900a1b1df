package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class RunDisplayTest {
    /** Whoever keeps a run's output in a file still sees that it goes wrong. */
    @Test
    void alarmsGoWhereErrorsGo() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream before = System.err;
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        try (RunDisplay display = new RunDisplay(new PrintStream(out, true, StandardCharsets.UTF_8), "train")) {
            display.note("device: cpu");
            display.alarm("iteration 3: something is wrong.");
        } finally {
            System.setErr(before);
        }
        assertEquals("device: cpu\n", out.toString(StandardCharsets.UTF_8));
        assertEquals("respec: iteration 3: something is wrong.\n", err.toString(StandardCharsets.UTF_8));
    }
}

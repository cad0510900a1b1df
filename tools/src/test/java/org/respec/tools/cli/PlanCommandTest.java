package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PlanCommandTest {
    @TempDir
    private Path folder;

    private String profile() throws IOException {
        Path file = folder.resolve("profile.json");
        Files.writeString(file, """
            {"cells": [{"batch": 1, "plan": "4x2x8", "tokens_per_second": 200}, {"batch": 1, "plan": "off", "tokens_per_second": 100},
              {"batch": 16, "plan": "off", "tokens_per_second": 1000}, {"batch": 16, "plan": "4x2x8", "tokens_per_second": 700}]}""");
        return file.toString();
    }

    private CommandOutcome plan(String... more) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("plan", "--profile", profile()));
        arguments.addAll(List.of(more));
        return CommandOutcome.of(arguments.toArray(String[]::new));
    }

    @Test
    void jsonHasPlanAndScores() throws IOException {
        assertEquals("{\"plan\":\"4x2x8\",\"scores\":{\"off\":100.0,\"4x2x8\":200.0}}\n", plan("--batch", "1", "--json").out());
        assertEquals("{\"plan\":\"off\",\"scores\":{\"off\":1000.0,\"4x2x8\":700.0}}\n", plan("--batch", "16", "--json").out());
        assertEquals("{\"plan\":\"off\",\"scores\":{\"off\":100.0,\"4x2x8\":0.0}}\n",
            plan("--batch", "1", "--utilization", "1", "--json").out());
    }

    @Test
    void theTableMarksTheChosenPlan() throws IOException {
        CommandOutcome outcome = plan("--batch", "1");
        assertEquals(0, outcome.code(), outcome.err());
        assertEquals(List.of("4x2x8             200.0         2.000  <- chosen"),
            outcome.out().lines().filter(line -> line.contains("chosen")).toList());
    }

    @Test
    void badArgumentsAndFilesEndInOneSentence() throws IOException {
        for (String[] bad : new String[][] {{"--batch", "0"}, {"--batch", "-3"}, {"--batch", "2000000"}, {"--batch", "x"}, {},
            {"--batch", "1", "--utilization", "1.1"}, {"--batch", "1", "--utilization", "-0.1"},
            {"--batch", "1", "--utilization", "NaN"}}) {
            CommandOutcome outcome = plan(bad);
            assertEquals(2, outcome.code(), outcome.err());
            assertEquals(1, outcome.err().lines().count(), outcome.err());
            assertTrue(outcome.err().contains(bad.length == 4 ? "--utilization" : "--batch"), outcome.err());
        }
        Path file = folder.resolve("bad.json");
        Files.writeString(file, "{\"cells\": [{\"batch\": 0, \"plan\": \"off\", \"tokens_per_second\": 1}]}");
        CommandOutcome outcome = CommandOutcome.of("plan", "--profile", file.toString(), "--batch", "1");
        assertEquals(2, outcome.code());
        assertEquals("respec: " + file + ": cells[0].batch must be a whole number from 1 to 1000000, not 0.\n", outcome.err());
    }
}

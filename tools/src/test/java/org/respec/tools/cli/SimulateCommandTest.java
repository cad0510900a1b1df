package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SimulateCommandTest {
    private static final String PROFILE = Path.of("examples", "plan-profile.json").toString();

    @TempDir
    private Path folder;

    @Test
    void theExampleIsReplayedWithLittleRegret() throws IOException {
        Path json = folder.resolve("out.json");
        Path trace = folder.resolve("trace.jsonl");
        CommandOutcome first = CommandOutcome.of("simulate", "--generate", "400", "--profile", PROFILE, "--workers", "2", "--median", "100",
            "--longest", "2000", "--batch", "32", "--save-trace", trace.toString(), "--json", json.toString());
        assertEquals(0, first.code(), first.err());
        assertTrue(first.out().startsWith("400 requests, ") && first.out().contains("regret against the best plan of every step"),
            first.out());
        JsonNode root = new JsonMapper().readTree(json.toFile());
        assertTrue(root.path("regret_percent").doubleValue() <= 5, root.toString());
        assertEquals("adaptive", root.path("policies").path(0).path("policy").textValue());
        // Adaptive, every plan of the profile, and hindsight.
        assertEquals(13, root.path("policies").size());
        // The trace that was saved is the one that was run.
        CommandOutcome second = CommandOutcome.of("simulate", "--trace", trace.toString(), "--profile", PROFILE, "--workers", "2",
            "--batch", "32", "--json", json.toString());
        assertEquals(first.out(), second.out());
        assertEquals(root, new JsonMapper().readTree(json.toFile()));
    }

    /** What the documentation names is there and runs. */
    @Test
    void theExampleTraceRuns() {
        CommandOutcome outcome = CommandOutcome.of("simulate", "--trace", Path.of("examples", "trace.jsonl").toString(),
            "--profile", PROFILE, "--batch", "16");
        assertEquals(0, outcome.code(), outcome.err());
        assertTrue(outcome.out().startsWith("64 requests, 5956 tokens, 1 worker of up to 16 live requests"), outcome.out());
    }

    @Test
    void badArgumentsAndFilesEndInOneSentence() throws IOException {
        Path cells = folder.resolve("cells.json");
        Files.writeString(cells, "{\"cells\": [{\"batch\": 1, \"plan\": \"off\", \"tokens_per_second\": 1}]}");
        Path few = folder.resolve("few.json");
        Files.writeString(few, "{\"cost_ms\": [{\"batch\": 1, \"plan\": \"off\", \"verify\": 1}], \"accept_per_depth\": [0.5]}");
        assertBad("--trace", "--profile", PROFILE);
        assertBad("mutually exclusive", "--profile", PROFILE, "--trace", "x", "--generate", "3");
        assertBad("there is no such file; name a trace", "--profile", PROFILE, "--trace", folder.resolve("none").toString());
        assertBad("there is no such file; name a profile", "--profile", folder.resolve("none").toString(), "--generate", "3");
        assertBad("--batch: 0 must be from 1", "--profile", PROFILE, "--generate", "3", "--batch", "0");
        assertBad("--workers: 0 must be from 1", "--profile", PROFILE, "--generate", "3", "--workers", "0");
        assertBad("--rollout: 0 must be at least 1", "--profile", PROFILE, "--generate", "3", "--rollout", "0");
        assertBad("--generate: 0 must be from 1", "--profile", PROFILE, "--generate", "0");
        assertBad("--noise: NaN must be from 0", "--profile", PROFILE, "--generate", "3", "--noise", "NaN");
        assertBad("--max-rows: 3 must be at least --batch", "--profile", PROFILE, "--generate", "3", "--max-rows", "3");
        assertBad("cells.json: accept_per_depth is missing", "--profile", cells.toString(), "--generate", "3");
        assertBad("few.json: it has no plan 1x1x1", "--profile", PROFILE, "--truth", few.toString(), "--generate", "3");
    }

    private static void assertBad(String fragment, String... arguments) {
        String[] all = new String[arguments.length + 1];
        all[0] = "simulate";
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        CommandOutcome outcome = CommandOutcome.of(all);
        assertEquals(2, outcome.code(), outcome.err() + outcome.out());
        assertTrue(outcome.err().contains(fragment), "expected '" + fragment + "' in: " + outcome.err());
        assertEquals(1, outcome.err().lines().count(), outcome.err());
    }
}

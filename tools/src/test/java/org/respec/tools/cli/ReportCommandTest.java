package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.run.RunFolder;

class ReportCommandTest {
    private static final Path RUNS = Path.of("src", "test", "resources", "org", "respec", "tools", "report", "runs");

    @TempDir
    private Path folder;

    private Path copy(String name) throws IOException {
        Path to = Files.createDirectories(folder.resolve(name));
        for (String file : List.of("metrics.jsonl", "summary.json", "config.json")) {
            Files.copy(RUNS.resolve(name).resolve(file), to.resolve(file));
        }
        return to;
    }

    @Test
    void aPageOfARunGoesIntoItsFolder() throws IOException {
        Path run = copy("adaptive");
        CommandOutcome outcome = CommandOutcome.of("report", run.toString());
        assertEquals(0, outcome.code(), outcome.err());
        assertEquals("written to " + run.resolve("report.html") + System.lineSeparator(), outcome.out());
        assertTrue(Files.readString(run.resolve("report.html")).contains("<h1>Run adaptive</h1>"));
    }

    @Test
    void aComparisonGoesWhereItIsTold() throws IOException {
        Path page = folder.resolve("page.html");
        CommandOutcome outcome = CommandOutcome.of("report", RUNS.resolve("adaptive").toString(), RUNS.resolve("off").toString(),
            "--output", page.toString());
        assertEquals(0, outcome.code(), outcome.err());
        assertTrue(Files.readString(page).contains("<h1>2 runs compared</h1>"));
    }

    @Test
    void jsonIsAllThatIsPrinted() throws IOException {
        Path run = copy("adaptive");
        CommandOutcome outcome = CommandOutcome.of("report", run.toString(), "--json", "--tensorboard");
        assertEquals(0, outcome.code(), outcome.err());
        JsonNode json = new JsonMapper().readTree(outcome.out());
        assertEquals("adaptive", json.at("/runs/0/name").textValue());
        assertFalse(Files.exists(run.resolve("report.html")), "no page was asked for");
        assertEquals(1, events(run));
    }

    @Test
    void tensorBoardFilesAreMadeOfTheMetrics() throws IOException {
        Path run = copy("off");
        String page = folder.resolve("p.html").toString();
        assertEquals(0, CommandOutcome.of("report", run.toString(), "--tensorboard", "--output", page).code());
        assertEquals(1, events(run));
    }

    @Test
    void aRunningRunsTensorBoardFileIsLeftAlone() throws IOException {
        Path run = copy("off");
        try (RunFolder held = RunFolder.open(run, true)) {
            assertBad(held.path() + ": the run folder is in use", "report", run.toString(), "--tensorboard");
            assertEquals(0, events(run));
        }
    }

    private static long events(Path run) throws IOException {
        try (var files = Files.list(run)) {
            return files.filter(file -> file.getFileName().toString().startsWith("events.out.tfevents.")).count();
        }
    }

    @Test
    void badInputEndsWithOneSentence() throws IOException {
        assertBad("Missing required parameter", "report");
        assertBad("none: there is no such run folder", "report", folder.resolve("none").toString());
        assertBad("it is not a run folder", "report", folder.toString());
        assertBad("is named twice", "report", RUNS.resolve("off").toString(), RUNS.resolve("off").toString());
        Path run = copy("adaptive");
        assertBad("--output: ", "report", run.toString(), "--output", folder.toString());
        assertBad("--output: ", "report", run.toString(), "--output", folder.resolve("none/page.html").toString());
        String metrics = Files.readString(run.resolve("metrics.jsonl"));
        Files.writeString(run.resolve("metrics.jsonl"), metrics.substring(0, metrics.length() - 30));
        assertBad("metrics.jsonl: line 3: it is cut short", "report", run.toString());
    }

    private static void assertBad(String fragment, String... arguments) {
        CommandOutcome outcome = CommandOutcome.of(arguments);
        assertEquals(2, outcome.code(), outcome.err() + outcome.out());
        assertTrue(outcome.err().contains(fragment), "expected '" + fragment + "' in: " + outcome.err());
        assertEquals(1, outcome.err().lines().count(), outcome.err());
    }
}

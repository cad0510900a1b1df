package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An actor that does not learn does so aloud. */
class SkippedStepsTest {
    @TempDir
    Path folder;

    private static List<JsonNode> lines(Path run) throws IOException {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
            lines.add(new JsonMapper().readTree(line));
        }
        return lines;
    }

    @Test
    void stepsThatChangeNoWeightAreCountedAndSaid() throws IOException {
        Path config = RunFixture.write(folder);
        String[] huge = {"task.reward=huge", "train.normalise_advantages=false", "speculation.mode=off", "distill.enabled=false"};
        Path dir = folder.resolve("huge");
        List<String> alarms = new ArrayList<>();
        List<String> all = new ArrayList<>(List.of(huge));
        all.add("run.dir=" + dir);
        ObjectNode summary;
        try (TrainingRun run = new TrainingRun(RunConfig.read(config, all), false)) {
            summary = run.run(new TrainingRun.Listener() {
                @Override
                public void alarm(String sentence) {
                    alarms.add(sentence);
                }
            });
        }
        ObjectNode untrained = RunFixture.run(config, false, "run.dir=" + folder.resolve("untrained"), "train.iterations=0");
        assertEquals(untrained.at("/actor/weights_sha256"), summary.at("/actor/weights_sha256"), "no step was taken");
        assertEquals(6, summary.path("skipped_steps").intValue(), "two steps in each of three iterations");
        List<JsonNode> lines = lines(dir);
        for (JsonNode line : lines) {
            assertEquals(2, line.path("skipped_steps").intValue(), line.toString());
            assertTrue(!line.has("grad_norm") && !line.has("loss"), line.toString());
            assertTrue(!line.toString().contains("\"NaN\"") && !line.toString().contains("Infinity\""), line.toString());
        }
        assertEquals(1, alarms.size(), alarms.toString());
        assertTrue(alarms.getFirst().startsWith("iteration 1: the actor's update met a loss or gradient that is not finite: 2 of its"
            + " steps changed no weight"), alarms.toString());
        assertEquals(alarms.getFirst(), summary.at("/alarms/0").textValue());
        assertEquals(alarms.getFirst(), lines.getFirst().at("/alarms/0").textValue());
        all.add("train.iterations=4");
        ObjectNode resumed = RunFixture.run(config, true, all.toArray(String[]::new));
        assertEquals(8, resumed.path("skipped_steps").intValue(), "checkpoints keep the count");
    }

    @Test
    void aRunThatLearnsSkipsNone() throws IOException {
        Path dir = folder.resolve("out");
        ObjectNode summary = RunFixture.run(RunFixture.write(folder), false);
        assertEquals(0, summary.path("skipped_steps").asInt(-1));
        for (JsonNode line : lines(dir)) {
            assertEquals(0, line.path("skipped_steps").asInt(-1));
            for (String field : List.of("/loss", "/grad_norm", "/clip_fraction", "/mismatch/mean", "/mismatch/kl", "/mismatch/max")) {
                assertTrue(line.at(field).isNumber(), field + " in " + line);
            }
        }
    }

    /** All responses earn the same: nothing is compared with the rollout, and nothing is said of it. */
    @Test
    void whatWasNotComparedIsLeftOut() throws IOException {
        // Responses of an untrained model hold no right answer.
        ObjectNode summary = RunFixture.run(RunFixture.write(folder), false, "task.reward=arithmetic", "train.iterations=1");
        assertEquals(0, summary.at("/reward/first").doubleValue());
        JsonNode line = lines(folder.resolve("out")).getFirst();
        assertTrue(!line.has("mismatch") && !line.has("clip_fraction"), line.toString());
        assertEquals(0, line.path("grad_norm").asDouble(-1));
        assertEquals(0, line.path("skipped_steps").asInt(-1));
    }
}

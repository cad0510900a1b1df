package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;

/** What a run may be resumed with otherwise than it began, and what not. */
class ConfigChangesTest {
    @TempDir
    static Path folder;
    private static Path config;
    private static Path run;

    @BeforeAll
    static void train() throws IOException {
        config = RunFixture.write(folder);
        run = folder.resolve("run");
        RunFixture.run(config, false, "run.dir=" + run, "train.iterations=1", "train.kl_coefficient=0.1");
    }

    private static List<String> since(String... overrides) {
        List<String> all = new ArrayList<>(List.of("run.dir=" + run, "train.iterations=1", "train.kl_coefficient=0.1"));
        all.addAll(List.of(overrides));
        return ConfigChanges.since(run.resolve("config.json"), RunConfig.read(config, all));
    }

    @Test
    void nothingIsSaidOfTheSameConfig() {
        assertEquals(List.of(), since());
        assertEquals(List.of(), since("run.dir=" + folder.resolve("moved")), "a run's folder may have been moved");
    }

    @ParameterizedTest
    @CsvSource({"train.iterations=7, train.iterations 7 in place of 1", "speculation.mode=off, speculation.mode off in place of fixed",
        "speculation.plan=3x1x3, speculation.plan 3x1x3 in place of 2x2x4", "rollout.max_batch=3, rollout.max_batch 3 in place of 7",
        "speculation.cost_cache=/x, speculation.cost_cache /x in place of none", "run.device=auto, run.device auto in place of cpu",
        "distill.lag=1, distill.lag 1 in place of 0", "train.moments=host, train.moments host in place of f32"})
    void whatChangesNoTrajectoryGoesOnAndIsSaid(String override, String said) {
        assertEquals(List.of("goes on with " + said), since(override));
    }

    @ParameterizedTest
    @CsvSource({"run.seed=6, run.seed was 5 and is now 6", "task.reward=arithmetic, task.reward was digit-share and is now arithmetic",
        "task.arithmetic.tail=0.5, task.arithmetic.tail was 0.75 and is now 0.5", "train.group_size=2, train.group_size was 4 and is now 2",
        "train.learning_rate=0.02, train.learning_rate was 0.01 and is now 0.02",
        "train.loss=sequence, train.loss was token and is now sequence",
        "train.importance_cap=3, train.importance_cap was none and is now 3.0", "rollout.top_k=4, rollout.top_k was 0 and is now 4",
        "rollout.max_tokens=23, rollout.max_tokens was 24 and is now 23",
        "distill.enabled=false, distill.enabled was true and is now false",
        "distill.capacity_tokens=700, distill.capacity_tokens was 600 and is now 700", "eval.problems=9, eval.problems was 8 and is now 9"})
    void whatChangesTheRunIsRefused(String override, String said) {
        BadInput e = assertThrows(BadInput.class, () -> since(override, "train.iterations=9"));
        assertEquals(run.resolve("config.json") + ": " + said + ", which would change what the run draws or learns; set it back, or begin a"
            + " new run in another run.dir.", e.getMessage());
    }

    /** No key that may differ is misspelt, and a whole section is named by its own name. */
    @Test
    void everyFreeKeyIsThere() throws IOException {
        JsonNode written = new JsonMapper().readTree(run.resolve("config.json").toFile());
        for (String key : ConfigChanges.FREE) {
            assertTrue(!written.at("/" + key.replace('.', '/')).isMissingNode(), key);
        }
    }

    @Test
    void aRefusedResumeLeavesTheRunAsItWas() throws IOException {
        Map<String, String> before = Map.of("config.json", Files.readString(run.resolve("config.json")), "metrics.jsonl",
            Files.readString(run.resolve("metrics.jsonl")));
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, "run.dir=" + run, "run.seed=1"));
        assertTrue(e.getMessage().contains("run.seed was 5 and is now 1, train.kl_coefficient was 0.1 and is now 0.0, which"),
            e.getMessage());
        for (Map.Entry<String, String> file : before.entrySet()) {
            assertEquals(file.getValue(), Files.readString(run.resolve(file.getKey())), file.getKey());
        }
    }

    @Test
    void earlierConfigsAreKept() throws IOException {
        Path dir = folder.resolve("kept");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=1");
        RunFixture.run(config, true, "run.dir=" + dir, "train.iterations=1");
        assertTrue(!Files.exists(dir.resolve("config.1.json")), "nothing changed");
        RunFixture.run(config, true, "run.dir=" + dir, "train.iterations=2");
        RunFixture.run(config, true, "run.dir=" + dir, "train.iterations=2", "rollout.max_batch=3");
        int number = 0;
        for (String name : List.of("config.1.json", "config.2.json", "config.json")) {
            JsonNode kept = new JsonMapper().readTree(dir.resolve(name).toFile());
            assertEquals(Math.min(2, ++number), kept.at("/train/iterations").intValue(), name);
            assertEquals(number == 3 ? 3 : 7, kept.at("/rollout/max_batch").intValue(), name);
        }
    }

    private static Path copy(Path from, Path to) throws IOException {
        try (Stream<Path> paths = Files.walk(from)) {
            for (Path path : paths.toList()) {
                Files.copy(path, to.resolve(from.relativize(path).toString()));
            }
        }
        return to;
    }

    /** Models may lie elsewhere by then, as long as they are the same. */
    @Test
    void modelsMayHaveMovedButNotChanged() throws IOException {
        Path actor = copy(folder.resolve("actor"), folder.resolve("actor-elsewhere"));
        Path dir = folder.resolve("moved-models");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=1", "train.kl_coefficient=0.1");
        String[] resumed = {"run.dir=" + dir, "train.iterations=1", "train.kl_coefficient=0.1", "model.actor=" + actor};
        ObjectNode summary = RunFixture.run(config, true, resumed);
        assertEquals(1, summary.path("iterations").intValue());
        byte[] weights = Files.readAllBytes(actor.resolve("model.safetensors"));
        weights[weights.length - 1] ^= 1;
        Files.write(actor.resolve("model.safetensors"), weights);
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, resumed));
        assertEquals(actor + ": it is not what the run began with; set model.actor back to that, or begin a new run in another run.dir.",
            e.getMessage());
        Files.writeString(actor.resolve("tokenizer.json"), Files.readString(actor.resolve("tokenizer.json")) + "\n");
        e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, resumed));
        assertTrue(e.getMessage().startsWith(actor.resolve("tokenizer.json") + ": it is not what the run began with"), e.getMessage());
    }

    @Test
    void anotherKindOfModelIsRefused() throws IOException {
        Path actor = copy(folder.resolve("actor"), folder.resolve("actor-other"));
        String text = Files.readString(actor.resolve("config.json"));
        Files.writeString(actor.resolve("config.json"), text.replace("\"rope_theta\" : 10000.0", "\"rope_theta\" : 20000.0"));
        Path dir = folder.resolve("other-kind");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=1");
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, "run.dir=" + dir, "train.iterations=1",
            "model.actor=" + actor));
        assertTrue(e.getMessage().startsWith("model.actor: its config.json is not that of the model the run began with"), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"prompts", "held_out"})
    void problemsMayNotChange(String changed) throws IOException {
        Path other = Files.createDirectories(folder.resolve("problems-" + changed));
        List<String> files = new ArrayList<>(List.of("run.dir=" + other.resolve("run"), "train.iterations=1"));
        for (String name : List.of("prompts", "held_out")) {
            Path file = Files.writeString(other.resolve(name), "{\"prompt\":\"1+1=\",\"answer\":\"2\"}\n");
            files.add("task." + name + "=" + file);
        }
        String[] same = files.toArray(String[]::new);
        RunFixture.run(config, false, same);
        RunFixture.run(config, true, same);
        Files.writeString(other.resolve(changed), "{\"prompt\":\"2+1=\",\"answer\":\"3\"}\n");
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, same));
        assertEquals(other.resolve(changed) + ": it is not what the run began with; set task." + changed
            + " back to that, or begin a new run in another run.dir.", e.getMessage());
        e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, same[0], same[1]));
        assertTrue(e.getMessage().startsWith("task.prompts: the run began with problems from files"), e.getMessage());
    }
}

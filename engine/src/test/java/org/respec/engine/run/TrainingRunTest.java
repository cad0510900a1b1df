package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelFiles;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TestModels;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** The main job on a tiny random model: what must not change its bits, and resuming. */
class TrainingRunTest {
    @TempDir
    static Path folder;
    private static Path config;
    private static ObjectNode reference;

    @BeforeAll
    static void runReference() throws IOException {
        config = RunFixture.write(folder);
        reference = RunFixture.run(config, false, "run.dir=" + folder.resolve("reference"));
    }

    private static String trajectories(JsonNode summary) {
        return summary.at("/rollout/trajectory_sha256").textValue();
    }

    private static String weights(JsonNode summary) {
        return summary.at("/actor/weights_sha256").textValue();
    }

    private static String drafter(JsonNode summary) {
        return summary.at("/drafter/weights_sha256").textValue();
    }

    static Stream<List<String>> sameBits() {
        return Stream.of(List.of("speculation.mode=off"), List.of("speculation.mode=adaptive"), List.of("speculation.plan=2x1x2"),
            List.of("speculation.plan=4x4x16"), List.of("rollout.max_batch=1"), List.of("rollout.max_batch=64"),
            List.of("run.threads=1"), List.of("rollout.kv_pages=9", "rollout.page_size=16"), List.of("distill.enabled=false"),
            List.of("distill.weighting=uniform"), List.of("rollout.page_size=5"), List.of("rollout.max_batch=1", "speculation.mode=off"),
            List.of("rollout.release_kv=true", "rollout.kv_pages=auto"), List.of("train.checkpoint_activations=true"),
            List.of("run.dtype=f32"), List.of("train.importance_cap=0"),
            List.of("speculation.drafter=ngram"), List.of("speculation.budgets=uniform", "speculation.plan=3x2x5"),
            List.of("speculation.drafter=ngram", "speculation.mode=adaptive", "model.drafter=", "distill.enabled=false"));
    }

    @ParameterizedTest
    @MethodSource("sameBits")
    void trajectoriesAndWeightsDoNotDependOn(List<String> overrides) {
        String[] all = Stream.concat(overrides.stream(), Stream.of("run.dir=" + folder.resolve("variant"))).toArray(String[]::new);
        ObjectNode summary = RunFixture.run(config, false, all);
        assertEquals(trajectories(reference), trajectories(summary), "trajectories with " + overrides);
        assertEquals(weights(reference), weights(summary), "actor weights with " + overrides);
        boolean sameLearning = overrides.stream().noneMatch(o -> o.startsWith("distill"));
        if (sameLearning) {
            // The learner sees the same rows in the same order, so even the drafter has the same bits.
            assertEquals(drafter(reference), drafter(summary), "drafter weights with " + overrides);
        }
    }

    /** Its weights say the contrary of what is likely: the run goes on with n-grams, and draws the same. */
    @Test
    void aUselessDrafterGivesWayToNgrams(@TempDir Path other) throws IOException {
        Path useless = RunFixture.write(other);
        DrafterConfig shape = DrafterConfig.read(other.resolve("drafter/config.json"));
        try (Ops ops = Backends.open("cpu", 1); ParameterSet weights = new ParameterSet(ops, "drafter", shape.tensors())) {
            TestModels.randomise(weights, 3);
            MemorySegment bytes = weights.hostBytes();
            for (long i = 0; i < bytes.byteSize() / 4; i++) {
                bytes.setAtIndex(ValueLayout.JAVA_FLOAT, i, -1000 * bytes.getAtIndex(ValueLayout.JAVA_FLOAT, i));
            }
            ModelFiles.write(other.resolve("drafter"), shape.toJson(), weights);
        }
        ObjectNode summary = RunFixture.run(useless, false, "distill.enabled=false", "distill.health_steps=10", "speculation.plan=1x1x1");
        assertEquals(trajectories(reference), trajectories(summary));
        assertEquals(weights(reference), weights(summary));
        String alarm = summary.at("/alarms/0").textValue();
        assertTrue(alarm != null && alarm.contains("drafter version 0 gained") && alarm.endsWith("n-grams draft instead."), alarm);
        assertTrue(summary.at("/rollout/accept_length/last").doubleValue() > summary.at("/rollout/accept_length/first").doubleValue());
    }

    @Test
    void anotherSeedGivesOtherTrajectories() {
        ObjectNode summary = RunFixture.run(config, false, "run.seed=6", "run.dir=" + folder.resolve("other-seed"));
        assertNotEquals(trajectories(reference), trajectories(summary));
        assertNotEquals(weights(reference), weights(summary));
    }

    @Test
    void uniformWeightingTeachesOtherwise() {
        ObjectNode summary = RunFixture.run(config, false, "distill.weighting=uniform", "run.dir=" + folder.resolve("uniform"));
        assertNotEquals(drafter(reference), drafter(summary));
    }

    @Test
    void aResumedRunEndsWithTheSameBits() throws IOException {
        Path dir = folder.resolve("resumed");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=2");
        ObjectNode summary = RunFixture.run(config, true, "run.dir=" + dir);
        assertEquals(trajectories(reference), trajectories(summary));
        assertEquals(weights(reference), weights(summary));
        assertEquals(drafter(reference), drafter(summary));
        assertEquals(reference.at("/eval"), summary.at("/eval"));
        assertEquals(reference.at("/reward"), summary.at("/reward"));
        List<String> lines = Files.readAllLines(dir.resolve("metrics.jsonl"));
        assertEquals(3, lines.size());
        for (int i = 0; i < 3; i++) {
            assertEquals(i + 1, new JsonMapper().readTree(lines.get(i)).path("iteration").intValue());
        }
    }

    @Test
    void aBrokenCheckpointIsPassedOver() throws IOException {
        Path dir = folder.resolve("broken");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=2");
        Path newest = dir.resolve("checkpoints/iteration-00000002/actor.first");
        byte[] bytes = Files.readAllBytes(newest);
        bytes[100] ^= 1;
        Files.write(newest, bytes);
        ObjectNode summary = RunFixture.run(config, true, "run.dir=" + dir);
        assertEquals(trajectories(reference), trajectories(summary));
        assertEquals(weights(reference), weights(summary));
        assertEquals(drafter(reference), drafter(summary));
    }

    @Test
    void resumeBeforeTheFirstCheckpointBeginsAgain() throws IOException {
        Path dir = folder.resolve("early");
        Files.createDirectories(dir.resolve("checkpoints/.writing-1"));
        Files.writeString(dir.resolve("metrics.jsonl"), "{\"iteration\":1,\"rew");
        ObjectNode summary = RunFixture.run(config, true, "run.dir=" + dir);
        assertEquals(weights(reference), weights(summary));
        assertEquals(3, Files.readAllLines(dir.resolve("metrics.jsonl")).size());
    }

    /** Nothing of a run is lost because its checkpoints are. */
    @Test
    void aRunWithoutAWholeCheckpointIsNotBegunAgain() throws IOException {
        Path dir = folder.resolve("damaged");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=2");
        String metrics = Files.readString(dir.resolve("metrics.jsonl"));
        for (int iteration = 1; iteration <= 2; iteration++) {
            Files.write(dir.resolve("checkpoints/iteration-0000000" + iteration + "/actor.weights"), new byte[10]);
        }
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, "run.dir=" + dir));
        assertTrue(e.getMessage().contains("no whole checkpoint among its 2"), e.getMessage());
        assertEquals(metrics, Files.readString(dir.resolve("metrics.jsonl")));
        Path manifest = dir.resolve("checkpoints/iteration-00000002/manifest.json");
        Files.writeString(manifest, "{\"state\": {}, \"parts\": []}");
        e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, "run.dir=" + dir));
        assertTrue(e.getMessage().startsWith(manifest.getParent() + ": its manifest.json is of another version"), e.getMessage());
    }

    /** Else what is prepared for would be timed. */
    @Test
    void preparationComesBeforeCostsAreMeasured() {
        Path costs = folder.resolve("costs");
        List<String> said = new ArrayList<>();
        try (TrainingRun run = new TrainingRun(RunConfig.read(config, List.of("run.dir=" + folder.resolve("prepared"),
            "speculation.mode=adaptive", "speculation.cost_cache=" + costs)), false, (ops, actor, drafter) -> {
                assertFalse(Files.exists(costs));
                said.add(ops.device() + " " + actor.headDim() + " " + drafter.headDim());
            })) {
            assertTrue(Files.exists(costs));
            assertEquals(1, said.size());
            assertTrue(said.getFirst().startsWith(run.device()), said.getFirst());
        }
    }

    @Test
    void aResumedRunSaysWhereItGoesOn() throws IOException {
        Path dir = folder.resolve("told");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=2");
        Files.delete(dir.resolve("checkpoints/iteration-00000002/actor.first"));
        List<String> said = new ArrayList<>();
        try (TrainingRun run = new TrainingRun(RunConfig.read(config, List.of("run.dir=" + dir, "train.iterations=1")), true)) {
            run.run(new TrainingRun.Listener() {
                @Override
                public void started(int firstIteration, int iterations) {
                    said.add("started");
                }

                @Override
                public void iterated(ObjectNode metrics) {
                    said.add("iterated");
                }

                @Override
                public void note(String sentence) {
                    said.add(sentence);
                }
            });
        }
        assertEquals(List.of("goes on with train.iterations 1 in place of 2",
            dir.resolve("checkpoints/iteration-00000002") + " is damaged (part actor.first is missing) and passed over",
            "goes on after iteration 1", "started"), said);
    }

    @Test
    void aFolderWithoutARunIsNotResumed() throws IOException {
        Path dir = Files.createDirectory(folder.resolve("other"));
        for (Path none : List.of(dir, folder.resolve("not-there"))) {
            BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, true, "run.dir=" + none));
            assertTrue(e.getMessage().startsWith(none + ": there is no run in this folder"), e.getMessage());
            assertTrue(!Files.exists(none.resolve(".lock")), "left as it was");
        }
    }

    @Test
    void filesOfOthersAreNotOverwritten() throws IOException {
        Path actor = folder.resolve("actor");
        String before = Files.readString(actor.resolve("config.json"));
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, false, "run.dir=" + actor));
        assertTrue(e.getMessage().startsWith(actor + ": it has a config.json that is no run's"), e.getMessage());
        assertEquals(before, Files.readString(actor.resolve("config.json")));
    }

    @Test
    void summaryHasWhatWasPromised() {
        for (String field : List.of("/iterations", "/seed", "/eval/accuracy_before", "/eval/accuracy_after", "/reward/first",
            "/reward/last", "/rollout/tokens", "/rollout/seconds", "/rollout/tokens_per_second", "/rollout/accept_length/first",
            "/rollout/accept_length/last", "/rollout/accept_length/mean", "/rollout/trajectory_sha256", "/actor/weights_sha256",
            "/seconds/rollout", "/seconds/actor", "/seconds/drafter", "/seconds/total", "/plans")) {
            assertTrue(!reference.at(field).isMissingNode(), field);
        }
        assertTrue(reference.at("/plans/2x2x4").longValue() > 0, "the fixed plan was run");
    }

    @Test
    void metricsSayHowTheWorkWasSpread() throws IOException {
        List<String> lines = Files.readAllLines(folder.resolve("reference/metrics.jsonl"));
        for (String text : lines) {
            JsonNode line = new JsonMapper().readTree(text);
            long responses = 0;
            for (JsonNode count : line.at("/response_length/counts")) {
                responses += count.longValue();
            }
            assertEquals(20, responses, text);
            long tokens = 0;
            long steps = 0;
            double seconds = 0;
            for (var live : line.path("steps_by_live").properties()) {
                int most = Integer.parseInt(live.getKey());
                for (JsonNode group : live.getValue()) {
                    steps += group.get(0).longValue();
                    tokens += group.get(2).longValue();
                    seconds += group.get(3).doubleValue();
                    double mean = group.get(1).doubleValue() / group.get(0).doubleValue();
                    assertTrue(mean <= Math.min(most, 7) && 2 * mean > most, live.getKey() + ": " + group);
                }
            }
            assertEquals(line.path("tokens").longValue(), tokens, text);
            assertEquals(line.at("/plans/2x2x4").longValue(), steps, text);
            assertEquals(line.at("/seconds/draft").doubleValue() + line.at("/seconds/verify").doubleValue(), seconds, 1e-6, text);
            double load = line.at("/host_load/rollout").doubleValue();
            // A rollout of a few ms may lie between two ticks of the kernel's clock, which then says 0.
            assertTrue(load >= 0 && load <= 1, text);
            assertTrue(load + line.at("/host_load/actor").doubleValue() > 0, text);
            assertTrue(line.path("utilization").isMissingNode(), "a fixed plan watches nobody: " + text);
        }
        JsonNode written = new JsonMapper().readTree(folder.resolve("reference/config.json").toFile());
        assertEquals(3, written.at("/train/iterations").intValue());
        assertEquals("2x2x4", written.at("/speculation/plan").textValue());
    }

    @Test
    void anEarlierRunIsMovedAside() throws IOException {
        Path dir = folder.resolve("twice");
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=1");
        String first = Files.readString(dir.resolve("summary.json"));
        RunFixture.run(config, false, "run.dir=" + dir, "train.iterations=1", "run.seed=9");
        assertEquals(first, Files.readString(folder.resolve("twice.1/summary.json")));
        assertNotEquals(first, Files.readString(dir.resolve("summary.json")));
    }

    /** Whatever is wrong is found before an earlier run is moved aside. */
    @ParameterizedTest
    @ValueSource(strings = {"distill.batch_tokens=20", "train.micro_batch_tokens=16", "rollout.max_tokens=1000", "run.dtype=bf16",
        "model.drafter=nowhere"})
    void aRefusedRunLeavesTheEarlierOne(String bad) throws IOException {
        Path dir = folder.resolve("refused");
        RunFixture.run(config, Files.exists(dir), "run.dir=" + dir, "train.iterations=1");
        String summary = Files.readString(dir.resolve("summary.json"));
        assertThrows(BadInput.class, () -> RunFixture.run(config, false, "run.dir=" + dir, bad));
        assertEquals(summary, Files.readString(dir.resolve("summary.json")), bad);
        assertTrue(!Files.exists(folder.resolve("refused.1")), bad);
        Path none = folder.resolve("refused-new");
        assertThrows(BadInput.class, () -> RunFixture.run(config, false, "run.dir=" + none, bad));
        assertTrue(!Files.exists(none), bad);
    }

    @Test
    void aFolderInUseIsRefused() {
        Path dir = folder.resolve("held");
        try (RunFolder held = RunFolder.open(dir, false)) {
            BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, false, "run.dir=" + held.path()));
            assertTrue(e.getMessage().contains(dir.toString()) && e.getMessage().contains("in use"), e.getMessage());
        }
    }

    @Test
    void aTrajectoryTooLongForAPassIsRefused() {
        BadInput e = assertThrows(BadInput.class,
            () -> RunFixture.run(config, false, "run.dir=" + folder.resolve("long"), "train.micro_batch_tokens=16"));
        assertTrue(e.getMessage().contains("train.micro_batch_tokens"), e.getMessage());
    }
}

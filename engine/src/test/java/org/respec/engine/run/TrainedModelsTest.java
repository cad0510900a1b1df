package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.TestModels;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Models that a run leaves: they draw what the run's own weights draw, and runs begin from them. */
class TrainedModelsTest {
    private static final long SEED = 5;
    private static final int PROMPTS = 6;

    @TempDir
    static Path folder;
    private static Path config;
    private static Path run;
    private static ObjectNode summary;

    @BeforeAll
    static void train() throws IOException {
        config = RunFixture.write(folder);
        run = folder.resolve("whole");
        summary = RunFixture.run(config, false, "run.dir=" + run);
    }

    private static String sha256(Path models, String which) {
        try (Ops ops = Backends.open("cpu", 1);
             LoadedModel loaded = LoadedModel.load(ops, models.resolve("actor"), which.equals("drafter") ? models.resolve(which) : null)) {
            return (which.equals("drafter") ? loaded.drafter().weights() : loaded.actor().weights()).sha256();
        }
    }

    private static List<String> files(Path folder) throws IOException {
        try (Stream<Path> all = Files.list(folder)) {
            return all.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void aRunEndsWithItsModels() throws IOException {
        for (String which : List.of("actor", "drafter")) {
            assertEquals(which, summary.at("/" + which + "/folder").textValue());
            assertEquals(summary.at("/" + which + "/weights_sha256").textValue(), sha256(run, which), which);
            assertNotEquals(sha256(folder, which), sha256(run, which), which + " was trained");
        }
        assertEquals(List.of("config.json", "model.safetensors", "tokenizer.json"), files(run.resolve("actor")));
        assertEquals(List.of("config.json", "model.safetensors"), files(run.resolve("drafter")));
        assertTrue(Files.readString(run.resolve("actor/config.json")).contains("\"torch_dtype\" : \"float32\""));
        assertArrayEquals(Files.readAllBytes(folder.resolve("actor/tokenizer.json")),
            Files.readAllBytes(run.resolve("actor/tokenizer.json")));
        assertTrue(files(run).stream().noneMatch(name -> name.contains("writing")), files(run).toString());
    }

    @Test
    void aRunBeginsFromThem() {
        ObjectNode second = RunFixture.run(config, false, "run.dir=" + folder.resolve("second"), "model.actor=" + run.resolve("actor"),
            "model.drafter=" + run.resolve("drafter"), "train.iterations=0");
        assertEquals(summary.at("/eval/accuracy_after"), second.at("/eval/accuracy_before"));
        assertEquals(summary.at("/actor/weights_sha256"), second.at("/actor/weights_sha256"));
        assertEquals(summary.at("/drafter/weights_sha256"), second.at("/drafter/weights_sha256"));
    }

    @Test
    void aDrafterThatIsNotTaughtIsNotWritten() throws IOException {
        Path out = folder.resolve("untaught");
        ObjectNode untaught = RunFixture.run(config, false, "run.dir=" + out, "distill.enabled=false", "train.iterations=1");
        assertTrue(Files.isDirectory(out.resolve("actor")));
        assertTrue(!Files.exists(out.resolve("drafter")) && untaught.at("/drafter/folder").isMissingNode());
        List<Path> exported = TrainedModels.export(out, null, folder.resolve("untaught-export"), Assertions::fail);
        assertEquals(List.of(folder.resolve("untaught-export/actor")), exported);
    }

    /** Weights of the run's own, as drawn from in memory, beside those in the folders, loaded. */
    private static void assertSameDraws(Path dir, String device, DType dtype, String... overrides) {
        List<String> all = new ArrayList<>(List.of("run.device=" + device, "run.dir=" + dir, "rollout.max_tokens=10", "eval.problems=2"));
        all.addAll(List.of(overrides));
        RunConfig read = RunConfig.read(config(device), all);
        try (RunParts parts = new RunParts(read, false, OnlineDrafter.Wiring.plain(), Preparation.NONE, Assertions::fail)) {
            // As if trained; none of these values has a place in bf16.
            TestModels.randomise(parts.actor.weights(), 77);
            parts.actor.publish();
            TestModels.randomise(parts.drafter.weights(), 78);
            parts.drafter.publish();
            TrainedModels.write(parts);
            List<PromptGroup> prompts = new ArrayList<>();
            for (int i = 0; i < PROMPTS; i++) {
                prompts.add(new PromptGroup(parts.task.encode(parts.task.problems().training(i)), 2, 2L * i));
            }
            RolloutLimits limits = new RolloutLimits(4, parts.task.maxPromptTokens(), 10, 16, 0, 0);
            try (Ops ops = Devices.open(device, 1);
                 LoadedModel loaded = LoadedModel.load(ops, dir.resolve("actor"), dir.resolve("drafter"), dtype, false);
                 RolloutEngine engine = new RolloutEngine(ops, loaded.actor(), loaded.drafter(), limits, SamplingParams.temperature(1f),
                     SEED, new StopRule(loaded.actor().config().eosTokenIds(), List.of()),
                     new FixedPolicy(SpeculationPlan.parse("2x2x4")), true, 1f)) {
                Rollout want = parts.rollout.generate(prompts);
                Rollout got = engine.generate(prompts);
                for (int i = 0; i < want.trajectories().size(); i++) {
                    Trajectory a = want.trajectories().get(i);
                    Trajectory b = got.trajectories().get(i);
                    assertArrayEquals(a.response(), b.response(), dtype + ", trajectory " + i);
                    assertArrayEquals(a.logProbs(), b.logProbs(), dtype + ", trajectory " + i);
                }
                assertEquals(want.stats().acceptLength(), got.stats().acceptLength(), "the drafter is the same too");
            }
        }
    }

    private static Path config(String device) {
        try {
            return device.equals("cpu") ? config : RunFixture.writeWide(Files.createDirectories(folder.resolve("wide")));
        } catch (IOException e) {
            return fail(e);
        }
    }

    @Test
    void theyDrawWhatTheRunsOwnWeightsDraw() {
        assertSameDraws(folder.resolve("f32"), "cpu", DType.F32, "rollout.max_batch=4");
    }

    /** Weights are written as they are drawn from, rounded to bf16, and not as the optimizer keeps them. */
    @Test
    void theyDrawTheSameInBf16() throws IOException {
        try {
            Backends.open("emulator", 1).close();
        } catch (IllegalArgumentException e) {
            abort(e.getMessage());
        }
        Path dir = folder.resolve("bf16");
        assertSameDraws(dir, "emulator", DType.BF16, "run.dtype=bf16", "rollout.max_batch=4");
        assertTrue(Files.readString(dir.resolve("actor/config.json")).contains("\"torch_dtype\" : \"bfloat16\""));
        long elements = org.respec.engine.model.ModelConfig.read(dir.resolve("actor/config.json")).tensors().stream()
            .mapToLong(spec -> spec.elements()).sum();
        assertEquals(2 * elements, Files.size(dir.resolve("actor/model.safetensors")), 8192, "two bytes each, and a header");
    }

    /** Nothing is written after the last checkpoint of a run that is killed. */
    private static Path killed(String name) {
        Path dir = folder.resolve(name);
        try (TrainingRun training = new TrainingRun(RunConfig.read(config, List.of("run.dir=" + dir)), false)) {
            assertThrows(IllegalStateException.class, () -> training.run(new TrainingRun.Listener() {
                @Override
                public void iterated(ObjectNode metrics) {
                    if (metrics.path("iteration").intValue() == 3) {
                        throw new IllegalStateException("killed");
                    }
                }
            }));
        }
        assertTrue(!Files.exists(dir.resolve("actor")));
        return dir;
    }

    @Test
    void aKilledRunsCheckpointsAreExported() throws IOException {
        Path dir = killed("killed");
        Path straight = folder.resolve("straight");
        RunFixture.run(config, false, "run.dir=" + straight, "train.iterations=2");
        Path output = folder.resolve("exported");
        assertEquals(List.of(output.resolve("actor"), output.resolve("drafter")),
            TrainedModels.export(dir, null, output, Assertions::fail));
        for (String which : List.of("actor", "drafter")) {
            assertEquals(sha256(straight, which), sha256(output, which), which + " of the newest checkpoint");
            assertEquals(files(straight.resolve(which)), files(output.resolve(which)));
        }
        TrainedModels.export(dir, 1, folder.resolve("exported-1"), Assertions::fail);
        assertNotEquals(sha256(output, "actor"), sha256(folder.resolve("exported-1"), "actor"));
    }

    /** The drafter before the newest drafts, so that is the one to have. */
    @Test
    void theDrafterInUseIsExported() throws IOException {
        Path dir = killed("fallen-back");
        Path newest = dir.resolve("checkpoints/iteration-00000002");
        String manifest = Files.readString(newest.resolve("manifest.json"));
        Files.writeString(newest.resolve("manifest.json"), manifest.replace("\"source\" : \"CURRENT\"", "\"source\" : \"PREVIOUS\""));
        TrainedModels.export(dir, 2, folder.resolve("fallen-export"), Assertions::fail);
        TrainedModels.export(dir, 1, folder.resolve("fallen-before"), Assertions::fail);
        assertEquals(sha256(folder.resolve("fallen-before"), "drafter"), sha256(folder.resolve("fallen-export"), "drafter"));
        assertNotEquals(sha256(folder.resolve("fallen-before"), "actor"), sha256(folder.resolve("fallen-export"), "actor"));
    }

    @Test
    void whatCannotBeExportedIsNamed() throws IOException {
        Path dir = killed("bad");
        Path output = folder.resolve("bad-export");
        Path empty = Files.createDirectories(folder.resolve("no-run"));
        Path early = Files.createDirectories(folder.resolve("no-checkpoint/checkpoints")).getParent();
        assertRefused(empty + ": there is no run with checkpoints", empty, null, output);
        assertRefused(early.resolve("checkpoints") + ": the run has no checkpoint yet", early, null, output);
        assertRefused("there is no checkpoint of iteration 7; there are 1, 2.", dir, 7, output);
        assertRefused("there is no checkpoint of iteration 7, nor any other.", early, 7, output);
        Files.write(dir.resolve("checkpoints/iteration-00000002/actor.weights"), new byte[10]);
        assertRefused("iteration-00000002: it is damaged (part actor.weights has 10 bytes", dir, 2, output);
        assertTrue(!Files.exists(output), "nothing was made");
        List<String> said = new ArrayList<>();
        TrainedModels.export(dir, null, output, said::add);
        assertTrue(said.size() == 1 && said.getFirst().contains("iteration-00000002 is damaged"), said.toString());
    }

    private static void assertRefused(String words, Path run, Integer iteration, Path output) {
        BadInput e = assertThrows(BadInput.class, () -> TrainedModels.export(run, iteration, output, Assertions::fail));
        assertTrue(e.getMessage().contains(words), e.getMessage());
    }

    @Test
    void modelsOfOthersAreNotOverwritten() {
        BadInput e = assertThrows(BadInput.class,
            () -> RunFixture.run(config, true, "run.dir=" + run, "model.actor=" + run.resolve("actor")));
        assertTrue(e.getMessage().startsWith("run.dir: the run would write its own model over " + run.resolve("actor")), e.getMessage());
        e = assertThrows(BadInput.class, () -> RunFixture.run(config, false, "run.dir=" + folder,
            "model.actor=" + run.resolve("actor"), "model.drafter=" + run.resolve("drafter")));
        assertTrue(e.getMessage().startsWith(folder + ": it has a folder actor that is no run's"), e.getMessage());
    }
}

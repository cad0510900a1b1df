package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.engine.BadInput;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.gpu.GpuOps;

/** The whole job on the emulated GPU: in bf16, with its memory planned, given back and taken again, and moved to the CPU. */
class EmulatedRunTest {
    @TempDir
    static Path folder;
    private static Path config;

    @BeforeAll
    static void write() throws IOException {
        try {
            Backends.open("emulator", 1).close();
        } catch (IllegalArgumentException e) {
            abort(e.getMessage());
        }
        config = RunFixture.writeWide(folder);
    }

    /** {@link #small} without the comparison of speeds at the end. */
    private static String[] smaller(String... more) {
        return small(Stream.concat(Stream.of("run.device=emulator", "run.dtype=bf16", "eval.comparison=false"), Stream.of(more))
            .toArray(String[]::new));
    }

    private static String[] small(String... more) {
        return Stream.concat(Stream.of("train.prompts_per_iteration=2", "train.group_size=3", "rollout.max_tokens=10", "eval.problems=2",
            "train.iterations=2", "distill.steps_per_update=1"), Stream.of(more)).toArray(String[]::new);
    }

    @Test
    void aRunInBf16MovesToTheCpuAndMemoryMayTakeTurns() throws IOException {
        Path out = folder.resolve("bf16");
        ObjectNode gpu = RunFixture.run(config, false, small("run.device=emulator", "run.dtype=bf16", "run.dir=" + out));
        assertEquals("bf16", gpu.path("dtype").textValue());
        assertTrue(gpu.at("/memory/bytes/KV pages").longValue() > 0);
        JsonNode line = new JsonMapper().readTree(Files.readAllLines(out.resolve("metrics.jsonl")).getLast());
        assertTrue(line.at("/mismatch/mean").isNumber() && line.at("/mismatch/kl").isNumber() && line.at("/mismatch/max").isNumber());
        ObjectNode turns = RunFixture.run(config, false, small("run.device=emulator", "run.dtype=bf16", "rollout.release_kv=true",
            "rollout.kv_pages=auto", "train.checkpoint_activations=true", "run.dir=" + folder.resolve("turns")));
        assertEquals(gpu.at("/actor/weights_sha256"), turns.at("/actor/weights_sha256"), "memory by turns changes nothing else");
        assertEquals(gpu.at("/rollout/trajectory_sha256"), turns.at("/rollout/trajectory_sha256"));
        ObjectNode cpu = RunFixture.run(config, true, small("run.device=cpu", "train.iterations=3", "run.dir=" + out));
        assertEquals(3, cpu.path("iterations").intValue());
        assertEquals("f32", cpu.path("dtype").textValue());
        assertNotEquals(gpu.at("/actor/weights_sha256"), cpu.at("/actor/weights_sha256"));
        ObjectNode back = RunFixture.run(config, true, small("run.device=emulator", "train.iterations=4", "train.moments=bf16",
            "run.dir=" + out));
        assertEquals(4, back.path("iterations").intValue());
    }

    /** In a stream of its own, in the next rollout or the one after: trajectories and actor are the same, and so are the weights learnt. */
    @Test
    void theDrafterLearnsBesideTheRun() {
        List<ObjectNode> summaries = new ArrayList<>();
        for (String[] how : new String[][] {{"false", "0"}, {"true", "0"}, {"true", "1"}}) {
            summaries.add(RunFixture.run(config, false, smaller("distill.overlap=" + how[0], "distill.lag=" + how[1],
                "run.dir=" + folder.resolve("beside-" + how[0] + how[1]))));
        }
        ObjectNode inTurn = summaries.getFirst();
        for (ObjectNode beside : summaries.subList(1, 3)) {
            assertEquals(inTurn.at("/rollout/trajectory_sha256"), beside.at("/rollout/trajectory_sha256"));
            assertEquals(inTurn.at("/actor/weights_sha256"), beside.at("/actor/weights_sha256"));
            assertEquals(inTurn.at("/drafter"), beside.at("/drafter"));
            assertEquals(2, beside.at("/drafter/version").intValue());
            assertEquals(0, beside.path("alarms").size(), beside.path("alarms").toString());
        }
    }

    /** A learner that is left behind keeps the device it works on, even after the run is closed. */
    @Test
    void theDeviceOutlivesALearnerThatIsLeftBehind() throws InterruptedException {
        CountDownLatch closed = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        UnaryOperator<Ops> hanging = LearnerFaultsTest.after("klDistill", (number, args) -> {
            while (number == 1 && closed.getCount() > 0) {
                try {
                    closed.await();
                } catch (InterruptedException e) {
                    // Deaf on purpose.
                }
            }
        });
        UnaryOperator<Ops> ending = LearnerFaultsTest.after("adamWConvert", (number, args) -> ended.countDown());
        OnlineDrafter.Wiring wiring = LearnerFaultsTest.operators(ops -> ending.apply(hanging.apply(ops)));
        ObjectNode summary = RunFixture.run(config, false, wiring, smaller("distill.timeout_seconds=1",
            "run.dir=" + folder.resolve("left-behind")));
        assertEquals(1, summary.path("alarms").size(), summary.path("alarms").toString());
        assertTrue(summary.at("/alarms/0").textValue().contains("left behind"), summary.path("alarms").toString());
        closed.countDown();
        assertTrue(ended.await(60, TimeUnit.SECONDS), "the learner did not go on");
    }

    /** Moments on the host change where memory is and nothing else, and a checkpoint does not say where they were. */
    @Test
    void momentsInHostMemoryGiveTheSameBits() {
        ObjectNode device = RunFixture.run(config, false, smaller("run.dir=" + folder.resolve("moments-device")));
        ObjectNode host = RunFixture.run(config, false, smaller("train.moments=host", "run.dir=" + folder.resolve("moments-host")));
        assertEquals(device.at("/actor/weights_sha256"), host.at("/actor/weights_sha256"));
        assertEquals(device.at("/rollout/trajectory_sha256"), host.at("/rollout/trajectory_sha256"));
        long bytes = 8 * ModelConfig.read(folder.resolve("actor/config.json")).tensors().stream()
            .mapToLong(spec -> (long) spec.rows() * spec.cols()).sum();
        assertEquals(bytes, host.at("/memory/host_bytes").longValue() - device.at("/memory/host_bytes").longValue());
        String places = "/memory/bytes/places that moments come to from the host";
        assertEquals(16 << 20, host.at(places).longValue());
        assertTrue(device.at(places).isMissingNode());
        // The emulator's products need no workspace; each of two sets of operators has 8 MiB that copies go through.
        assertEquals(0, device.at("/memory/bytes/learner's workspace for matrix products").asLong(-1));
        assertTrue(device.at("/memory/host_bytes").longValue() > 16 << 20);
        String part = "/memory/bytes/actor's gradients and moments";
        assertEquals(bytes, device.at(part).longValue() - host.at(part).longValue(), 512, "the device aligns what it gives");
        String[] moved = smaller("run.dir=" + folder.resolve("moments-moved"));
        RunFixture.run(config, false, Stream.concat(Stream.of(moved), Stream.of("train.iterations=1")).toArray(String[]::new));
        ObjectNode resumed = RunFixture.run(config, true,
            Stream.concat(Stream.of(moved), Stream.of("train.moments=host")).toArray(String[]::new));
        assertEquals(device.at("/actor/weights_sha256"), resumed.at("/actor/weights_sha256"));
    }

    @Test
    void whatTheCpuCannotKeepIsRefused() {
        BadInput refused = assertThrows(BadInput.class,
            () -> RunFixture.run(config, false, small("run.dtype=bf16", "run.dir=" + folder.resolve("refused"))));
        assertTrue(refused.getMessage().contains("run.dtype=f32"), refused.getMessage());
        refused = assertThrows(BadInput.class,
            () -> RunFixture.run(config, false, small("train.moments=bf16", "run.dir=" + folder.resolve("refused"))));
        assertTrue(refused.getMessage().contains("train.moments=f32"), refused.getMessage());
        refused = assertThrows(BadInput.class,
            () -> RunFixture.run(config, false, small("train.moments=host", "run.dir=" + folder.resolve("refused"))));
        assertTrue(refused.getMessage().startsWith("train.moments: ") && refused.getMessage().contains("train.moments=f32"),
            refused.getMessage());
    }

    /** What was planned is what is allocated, but for what kernels take for themselves. */
    @Test
    void memoryIsWhatWasPlanned() {
        for (String[] variant : new String[][] {{"f32", "64"}, {"bf16", "64"}, {"f32", "0"}}) {
            String dtype = variant[0];
            RunConfig read = RunConfig.read(config, List.of(small("run.device=emulator", "run.dtype=" + dtype, "train.kl_coefficient=0.1",
                "eval.temperature=0.5", "distill.batch_tokens=" + variant[1], "run.dir=" + folder.resolve("planned"))));
            try (TrainingRun run = new TrainingRun(read, false)) {
                long planned = run.memory().parts().entrySet().stream().filter(e -> !e.getKey().contains("kept free"))
                    .mapToLong(Map.Entry::getValue).sum();
                long taken = run.memory().free() - run.freeBytes();
                System.out.printf(Locale.ROOT, "%s: %d bytes planned, %d taken, %.2f %% apart%n", dtype, planned, taken,
                    100.0 * Math.abs(taken - planned) / taken);
                // Windows through which weights came from their files are not in the plan: 16 MiB each at most, here less.
                assertEquals(taken, planned, 0.08 * taken);
                run.memory().table().forEach(System.out::println);
            }
        }
    }

    private static MemoryPlan plan(long bytes, String... overrides) {
        return plan(bytes, Long.MAX_VALUE, overrides);
    }

    private static MemoryPlan plan(long bytes, long hostFree, String... overrides) {
        RunConfig read = RunConfig.read(config, List.of(small(overrides)));
        ModelConfig actor = ModelConfig.read(folder.resolve("actor/config.json"));
        DrafterConfig drafter = DrafterConfig.read(folder.resolve("drafter/config.json"));
        try (Ops ops = new GpuOps(EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false).withMemoryBytes(bytes)))) {
            return MemoryPlan.of(ops, read, actor, drafter, DType.BF16, 20, hostFree);
        }
    }

    @Test
    void plansCutPagesThenPassesThenRefuse() {
        String[] wide = {"rollout.max_batch=64", "rollout.max_tokens=90", "train.micro_batch_tokens=4096"};
        String[] auto = {wide[0], wide[1], wide[2], "rollout.kv_pages=auto"};
        MemoryPlan ample = plan(1L << 30, auto);
        assertEquals(plan(1L << 30, wide), ample, "all pages that a full batch can use");
        assertEquals(4096, ample.microBatchTokens());
        long needed = ample.parts().entrySet().stream().filter(e -> !e.getKey().contains("kept free")).mapToLong(Map.Entry::getValue).sum();
        long kv = ample.parts().get("KV pages");
        // Two sixteenths are kept free, one of them for graphs.
        assertEquals(1L << 26, ample.parts().get("graphs of decode steps, kept free"), 1 << 16);
        MemoryPlan fewer = plan((needed - kv / 2) / 14 * 16, auto);
        assertEquals(4096, fewer.microBatchTokens());
        assertTrue(fewer.kvPages() < ample.kvPages() && fewer.kvPages() > ample.kvPages() / 4, fewer.kvPages() + " of " + ample.kvPages());
        MemoryPlan shorter = plan((needed - ample.parts().get("training passes") / 2) / 14 * 16, wide);
        assertEquals(ample.kvPages(), shorter.kvPages());
        assertTrue(shorter.microBatchTokens() < 4096, "passes of " + shorter.microBatchTokens());
        BadInput refused = assertThrows(BadInput.class, () -> plan(8 << 20, auto));
        assertTrue(refused.getMessage().contains("rollout.max_batch"), refused.getMessage());
        // What learning keeps is on the host, beside a device too.
        long onHost = ample.hostBytes() + ample.onHost().values().stream().mapToLong(Long::longValue).sum();
        assertEquals(ample, plan(1L << 30, onHost, auto));
        refused = assertThrows(BadInput.class, () -> plan(1L << 30, onHost - 1, auto));
        assertTrue(refused.getMessage().contains(" of the host's ") && refused.getMessage().contains("distill.capacity_tokens"),
            refused.getMessage());
        assertEquals(3, ample.table().stream().filter(line -> line.contains("and on the host: ")).count(), ample.table().toString());
    }
}

package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;
import org.respec.engine.HostMemory;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TensorSpec;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SizingOps;

/** Runs and models that the host's memory is too small for are refused in a sentence, before the system ends the process. */
class HostMemoryPlanTest {
    private static final int PROMPT = 20;
    @TempDir
    static Path folder;
    private static Path config;

    @BeforeAll
    static void write() throws IOException {
        config = RunFixture.write(folder);
    }

    private static MemoryPlan plan(long free, String... overrides) {
        return plan(free, ModelConfig.read(folder.resolve("actor/config.json")), DrafterConfig.read(folder.resolve("drafter/config.json")),
            overrides);
    }

    private static MemoryPlan plan(long free, ModelConfig actor, DrafterConfig drafter, String... overrides) {
        try (Ops ops = Backends.open("cpu", 1)) {
            return MemoryPlan.onHost(ops, RunConfig.read(config, List.of(overrides)), actor, drafter, DType.F32, PROMPT, free);
        }
    }

    private static long bytes(MemoryPlan plan) {
        return plan.parts().values().stream().mapToLong(Long::longValue).sum();
    }

    @Test
    void whatIsNeededIsEnoughAndLessIsNot() {
        long needed = bytes(plan(Long.MAX_VALUE));
        long elements = TensorSpec.elements(ModelConfig.read(folder.resolve("actor/config.json")).tensors());
        // Weights as they are kept and in the form of matrix products; gradients and two moments.
        assertTrue(needed > 4 * 5 * elements, needed + " bytes for " + elements + " weights");
        plan(needed);
        String message = assertThrows(BadInput.class, () -> plan(needed - 1)).getMessage();
        assertTrue(message.startsWith("memory: the run needs ") && message.contains("train.checkpoint_activations=true")
            && message.contains("distill.batch_tokens"), message);
    }

    private static long grown(String part, String from, String to) {
        return plan(Long.MAX_VALUE, to).parts().get(part) - plan(Long.MAX_VALUE, from).parts().get(part);
    }

    /** A row of three layers' features, and of ids, log-probabilities and a tail for each of 16 teacher tokens. */
    @Test
    void whatLearningKeepsIsCounted() {
        ModelConfig actor = ModelConfig.read(folder.resolve("actor/config.json"));
        long row = 4L * (3 * actor.hiddenSize() + 2 * 16 + 1);
        assertEquals(400 * row, grown("replay buffer", "distill.capacity_tokens=600", "distill.capacity_tokens=1000"));
        // 5 prompts of 4 responses; the longest response and its prompt have 44 tokens, and one row fewer.
        String captured = "an iteration's captured rows";
        assertEquals(20 * 43 * row, plan(Long.MAX_VALUE, "distill.capacity_tokens=100000").parts().get(captured));
        assertEquals((600 + 42) * row, plan(Long.MAX_VALUE, "distill.capacity_tokens=600").parts().get(captured),
            "what the buffer has room for, and one response more");
        long drafter = TensorSpec.elements(DrafterConfig.read(folder.resolve("drafter/config.json")).tensors());
        assertEquals(3 * 4 * drafter, plan(Long.MAX_VALUE).parts().get("published drafters"));
        MemoryPlan without = plan(Long.MAX_VALUE, "distill.enabled=false");
        assertTrue(!without.parts().containsKey(captured) && !without.parts().containsKey("replay buffer"), without.parts().toString());
    }

    /** 256 requests of 2048 tokens: the one layer of a drafter's cache has more elements than an int counts. */
    @Test
    void draftersOfLargeBatchesAreCounted() {
        ModelConfig actor = new ModelConfig(20, 24, 40, 3, 8, 8, 128, 1e-6, 10000, 4096, true, List.of(1), 0);
        DrafterConfig drafter = new DrafterConfig(24, List.of(1, 2, 3), 32, 8, 8, 128, 1e-6, 10000, 4096, 20);
        String[] off = {"rollout.max_batch=256", "rollout.max_tokens=2048", "distill.enabled=false", "speculation.mode=off"};
        String[] drafting = {off[0], off[1], off[2], "speculation.mode=fixed"};
        String part = "rollout's buffers, draft trees and features";
        long grown = plan(Long.MAX_VALUE, actor, drafter, drafting).parts().get(part)
            - plan(Long.MAX_VALUE, actor, drafter, off).parts().get(part);
        // Twice the batch, each with pages of 16 for prompt, response and a tree of 64, and one more.
        long cache = 2L * 256 * ((PROMPT + 2048 + 64 + 15) / 16 + 1) * 16 * 2 * 8 * 128 * 4;
        assertTrue(cache / 4 > Integer.MAX_VALUE, cache + " bytes");
        assertTrue(grown > cache && grown < 1.1 * cache, grown + " bytes, " + cache + " of them the drafter's cache");
    }

    @Test
    void wideFixedPlansAreCountedAndNamed() {
        String[] wide = {"rollout.max_batch=64", "speculation.mode=fixed", "speculation.plan=8x4x63"};
        long narrow = bytes(plan(Long.MAX_VALUE, "rollout.max_batch=64", "speculation.mode=fixed", "speculation.plan=2x1x2"));
        long needed = bytes(plan(Long.MAX_VALUE, wide));
        // 3840 rows more, each with logits over the vocabulary at least.
        int vocab = ModelConfig.read(folder.resolve("actor/config.json")).vocabSize();
        assertTrue(needed - narrow > 3840L * 4 * vocab, needed + " bytes, " + narrow + " of a narrow plan");
        String message = assertThrows(BadInput.class, () -> plan(needed - 1, wide)).getMessage();
        assertTrue(message.endsWith("give speculation.plan fewer tokens."), message);
    }

    @Test
    void modelsThatDoNotFitAreNotRead() throws IOException {
        Path large = Files.createDirectory(folder.resolve("large"));
        // Terabytes; only the config is there.
        ModelConfig shape = new ModelConfig(1 << 16, 1 << 14, 1 << 16, 400, 128, 32, 128, 1e-6, 10000, 160, true, List.of(1), 0);
        Files.writeString(large.resolve("config.json"), shape.toJson().toString());
        try (Ops ops = Backends.open("cpu", 1)) {
            String message = assertThrows(BadInput.class, () -> LoadedModel.load(ops, large, null)).getMessage();
            assertTrue(message.startsWith(large + ": its weights take ") && message.endsWith("or a device with more memory."), message);
        }
    }

    /** A drafter's file that is cut short: what was read before it is given back. */
    @Test
    void aModelThatCannotBeReadLeavesNoMemoryBehind() throws IOException {
        Path cut = Files.createDirectory(folder.resolve("cut"));
        Files.copy(folder.resolve("drafter/config.json"), cut.resolve("config.json"));
        byte[] weights = Files.readAllBytes(folder.resolve("drafter/model.safetensors"));
        Files.write(cut.resolve("model.safetensors"), Arrays.copyOf(weights, weights.length / 2));
        try (Ops ops = Backends.open("cpu", 1)) {
            SizingOps sizing = new SizingOps(ops);
            assertThrows(BadInput.class, () -> LoadedModel.load(sizing.ops(), folder.resolve("actor"), cut));
            assertTrue(sizing.bytes().size() > 1 && sizing.bytes().values().stream().allMatch(bytes -> bytes == 0),
                sizing.bytes().toString());
            assertEquals(0, sizing.hostBytes());
        }
    }

    @Test
    void theHostHasMemory() {
        long free = HostMemory.availableBytes();
        assertTrue(free > 1 << 20, free + " bytes");
        try (Ops ops = Backends.open("cpu", 1)) {
            assertEquals(Long.MAX_VALUE, ops.freeBytes());
            assertTrue(HostMemory.freeBytes(ops) < Long.MAX_VALUE);
        }
    }
}

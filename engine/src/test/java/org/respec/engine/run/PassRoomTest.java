package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;

class PassRoomTest {
    @TempDir
    static Path folder;
    private static Path config;

    @BeforeAll
    static void write() throws IOException {
        config = RunFixture.write(folder);
    }

    private static long bytes(String... overrides) {
        ModelConfig actor = ModelConfig.read(folder.resolve("actor/config.json"));
        DrafterConfig drafter = DrafterConfig.read(folder.resolve("drafter/config.json"));
        try (Ops ops = Backends.open("cpu", 1)) {
            return MemoryPlan.rolloutBytes(ops, RunConfig.read(config, List.of(overrides)), actor, drafter, DType.F32, 20);
        }
    }

    /** A wide fixed plan's passes are counted, and where they do not fit, it is the plan that is named. */
    @Test
    void aFixedPlanWithoutMemoryIsRefused() {
        String[] wide = {"rollout.max_batch=64", "speculation.mode=fixed", "speculation.plan=8x4x63"};
        long narrow = bytes("rollout.max_batch=64", "speculation.mode=fixed", "speculation.plan=2x1x2");
        long needed = bytes(wide);
        // 3840 rows more, each with logits over the vocabulary at least.
        int vocab = ModelConfig.read(folder.resolve("actor/config.json")).vocabSize();
        assertTrue(needed - narrow > 3840L * 4 * vocab, needed + " bytes, " + narrow + " of a narrow plan");
        RunConfig read = RunConfig.read(config, List.of(wide));
        PassRoom.require(read, needed, needed);
        String message = assertThrows(BadInput.class, () -> PassRoom.require(read, needed, needed - 1)).getMessage();
        assertTrue(message.startsWith("speculation.plan: 8x4x63 with rollout.max_batch=64 takes passes of 4096 rows"), message);
        assertTrue(message.endsWith("give the plan fewer tokens, or lower rollout.max_batch."), message);
    }

    /** Mode adaptive says once what it leaves out, in the log and in the summary, and goes on. */
    @Test
    void adaptiveSaysWhatItLeavesOut() {
        List<String> notes = new ArrayList<>();
        ObjectNode summary;
        RunConfig read = RunConfig.read(config, List.of("speculation.mode=adaptive", "rollout.max_batch=64", "train.iterations=1",
            "eval.comparison=false", "run.dir=" + folder.resolve("adaptive")));
        try (TrainingRun run = new TrainingRun(read, false)) {
            summary = run.run(new TrainingRun.Listener() {
                @Override
                public void started(int firstIteration, int iterations) {
                    // Only notes matter here.
                }

                @Override
                public void iterated(ObjectNode metrics) {
                    // Only notes matter here.
                }

                @Override
                public void note(String sentence) {
                    notes.add(sentence);
                }
            });
        }
        JsonNode left = summary.path("plans_left_out");
        assertEquals(256, left.path("pass_rows").intValue());
        assertEquals(64, left.path("live_requests").intValue());
        assertTrue(left.path("left_out").intValue() > 0 && left.path("left_out").intValue() < left.path("plans").intValue(),
            left.toString());
        assertEquals(256 / (read.speculation().maxTokens() + 1), left.path("none_left_out_up_to").intValue());
        assertEquals(List.of("speculation: a pass has 256 rows; of " + left.path("plans").intValue() + " plans, "
            + left.path("left_out").intValue() + " are left out while 64 requests are live, none from "
            + left.path("none_left_out_up_to").intValue() + " down"), notes);
    }

    @Test
    void otherModesAndSmallBatchesLeaveNothingOut() {
        RunConfig.Speculation adaptive = RunConfig.Speculation.of("adaptive");
        assertNull(PassRoom.of(adaptive, new RolloutLimits(4, 17, 40, 4, 0, 0)));
        assertNull(PassRoom.of(RunConfig.Speculation.of("4x2x8"), new RolloutLimits(64, 17, 40, 4, 0, 0)));
        assertNull(PassRoom.of(RunConfig.Speculation.of("off"), new RolloutLimits(64, 17, 40, 4, 0, 0)));
        assertEquals(64, PassRoom.of(adaptive, new RolloutLimits(64, 17, 40, 4, 0, 0)).requests());
    }
}

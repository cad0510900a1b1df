package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
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
import org.respec.engine.rollout.RolloutLimits;

class PassRoomTest {
    @TempDir
    static Path folder;
    private static Path config;

    @BeforeAll
    static void write() throws IOException {
        config = RunFixture.write(folder);
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

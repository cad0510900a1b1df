package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.rollout.RolloutStats;
import org.respec.engine.run.Devices;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.tools.bench.DecodeShape;

class LargeRolloutTest {
    @TempDir
    Path folder;

    @Test
    void everyPlanDrawsTheLengthsThatWereSet() {
        int requests = 5;
        int longest = 60;
        Lab lab = new Lab(folder.resolve("none.yaml"), List.of(), folder, "cpu", 2, true, line -> { });
        Table lengths = new Table("lengths", "", "model", "seed", "requests", "mean", "median", "p90", "longest");
        try (Ops ops = Devices.open("cpu", 1)) {
            LargeRollout.Measured measured = new LargeRollout(DecodeShape.TINY, requests, longest).measure(lab, ops, DType.F32, 3, lengths);
            PlanSpeeds speeds = measured.all();
            assertEquals("off", speeds.plans().getFirst());
            assertEquals("adaptive", speeds.plans().getLast());
            for (int plan = 0; plan < speeds.plans().size(); plan++) {
                List<RolloutStats> stats = speeds.of(plan);
                assertEquals(2, stats.size(), "two seeds");
                for (int i = 0; i < stats.size(); i++) {
                    assertEquals(Arrays.stream(LongTail.lengths(requests, longest, i)).sum(), stats.get(i).tokens(),
                        speeds.plans().get(plan));
                }
            }
            RolloutStats deep = speeds.of(speeds.plans().indexOf("3x1x3")).getFirst();
            assertTrue(deep.acceptLength() > 2 && deep.acceptLength() < 1 + 0.8 + 0.8 * 0.78 + 0.8 * 0.78 * 0.76, deep.toString());
            assertEquals(speeds.finalists(), measured.duel().plans());
            for (int plan = 0; plan < 3; plan++) {
                assertEquals(6, measured.duel().of(plan).size(), "two seeds, three times");
            }
        }
        assertEquals(2, lengths.rows().size());
    }
}

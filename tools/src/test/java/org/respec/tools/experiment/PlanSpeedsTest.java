package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.respec.engine.rollout.RolloutStats;

class PlanSpeedsTest {
    @Test
    void twoOfTheStaticPlansAreLeft() {
        PlanSpeeds speeds = speeds(List.of("off", "1x1x1", "2x1x2", "adaptive"), new double[] {5, 5, 1}, new double[] {1, 1, 9},
            new double[] {7, 7, 2}, new double[] {8, 8, 8});
        assertEquals(List.of("2x1x2", "off", "adaptive"), speeds.finalists());
        assertEquals(7.0, speeds.ratio(2, 1).max());
    }

    @Test
    void roundsThatNameTheRivalAreNotComparedWithIt() {
        // Even rounds are off's and odd ones 1x1x1's: by the others, each is compared where it had no luck.
        PlanSpeeds speeds = speeds(List.of("off", "1x1x1", "adaptive"), new double[] {4, 1, 4, 1}, new double[] {1, 4, 1, 4},
            new double[] {2, 2, 2, 2});
        assertEquals(2.0, speeds.ofBest().min());
        assertEquals(2.0, speeds.ofBest().max());
        assertEquals("off, 1x1x1", speeds.best());
    }

    @Test
    void enginesOfOneSetAreComparedWithEachOther() {
        PlanSpeeds speeds = new PlanSpeeds(1, List.of("off", "1x1x1", "adaptive"),
            List.of(stats(4), stats(1), stats(8), stats(2), stats(1), stats(4)));
        assertEquals(2.0, speeds.ofBest().min());
        assertEquals(2.0, speeds.ofBest().max());
    }

    private static PlanSpeeds speeds(List<String> plans, double[]... speeds) {
        return new PlanSpeeds(1, plans, Arrays.stream(speeds).map(PlanSpeedsTest::stats).toList());
    }

    private static List<RolloutStats> stats(double... speeds) {
        return Arrays.stream(speeds)
            .mapToObj(speed -> new RolloutStats(Math.round(1000 * speed), 1000, 1, 0, 0, 0, Map.of(), 0, 0, List.of())).toList();
    }
}

package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.respec.engine.rollout.PromptGroup;
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
    void twoRoundsAreEnoughAndOneIsNot() {
        List<String> plans = List.of("off", "1x1x1", "adaptive");
        // Off won the first round, 1x1x1 the second, and each is the rival in the other.
        PlanSpeeds two = speeds(plans, new double[] {4, 1}, new double[] {1, 5}, new double[] {2, 2});
        assertEquals("off, 1x1x1", two.best());
        assertEquals(2.0, two.ofBest().min());
        assertEquals(2.0, two.ofBest().max());
        PlanSpeeds one = speeds(plans, new double[] {4}, new double[] {1}, new double[] {2});
        assertEquals(plans, one.finalists(), "the fastest of one round are known");
        assertEquals(0.5, one.ratio(2, 0).median());
        assertThrows(IllegalStateException.class, one::best);
        assertThrows(IllegalStateException.class, one::ofBest);
        // One round each of two sets of engines are two.
        PlanSpeeds sets = new PlanSpeeds(1, plans, List.of(stats(4), stats(1), stats(2), stats(1), stats(5), stats(2)));
        assertEquals(two.best(), sets.best());
        assertEquals(two.ofBest(), sets.ofBest());
    }

    @Test
    void oneSeedIsMeasuredTwiceAtLeast() {
        List<PromptGroup> a = List.of(new PromptGroup(new int[] {1}, 1, 0));
        List<PromptGroup> b = List.of(new PromptGroup(new int[] {1}, 1, 1));
        assertEquals(List.of(a, a), GapOne.repeated(List.of(a), 1));
        assertEquals(List.of(a, b), GapOne.repeated(List.of(a, b), 1));
        assertEquals(List.of(a, a, a), GapOne.repeated(List.of(a), 3));
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

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

class WarmUpTest {
    private static final double STEP = 1e-3;

    /** Seconds of decoding after which all was dropped, on a machine that is as slow as {@code slowness} says, give or take a tenth. */
    private static List<Integer> ends(double seconds, DoubleUnaryOperator slowness) {
        WarmUp warmUp = new WarmUp();
        SplittableRandom random = new SplittableRandom(7);
        List<Integer> ends = new ArrayList<>();
        double passed = 0;
        while (passed < seconds) {
            double now = slowness.applyAsDouble(passed);
            passed += STEP * now;
            if (warmUp.ends(STEP * now, now * Math.exp(0.1 * random.nextGaussian()))) {
                ends.add((int) Math.round(passed));
            }
        }
        return ends;
    }

    @Test
    void whatWasSeenOfColdCodeIsDropped() {
        assertEquals(List.of(2), ends(60, seconds -> seconds < 0.8 ? 10 : 1), "compiled within a second");
        assertEquals(List.of(2, 8), ends(60, seconds -> seconds < 0.5 ? 8 : seconds < 4 ? 1.6 : 1), "compiled again later");
    }

    @Test
    void aMachineThatWasWarmHasNothingToDrop() {
        assertEquals(List.of(), ends(60, seconds -> 1));
        assertEquals(List.of(), ends(60, seconds -> 1 + 0.1 * Math.sin(seconds)), "others come and go");
        assertEquals(List.of(), ends(60, seconds -> seconds < 5 ? 1 : 2), "a slower machine was not warmed up");
    }

    @Test
    void nothingIsDroppedAfterHalfAMinute() {
        assertEquals(List.of(), ends(200, seconds -> seconds < 50 ? 4 : 1));
    }

    @Test
    void aFirstStepThatTakesSecondsIsNoHalfToCompareWith() {
        WarmUp warmUp = new WarmUp();
        assertEquals(false, warmUp.ends(5, 100));
        assertEquals(false, warmUp.ends(0.001, 1));
        for (double seconds = 0; seconds < 60; seconds += STEP) {
            assertEquals(false, warmUp.ends(STEP, 1), "nor is it one of a later stretch");
        }
    }
}

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ScoreCalibrationTest {
    private static final int REQUESTS = 4;
    private static final double SAID = 0.9;

    private final LiveBatch live = new LiveBatch(REQUESTS, (drawn, ahead, scale) -> Double.NaN);
    private final ScoreCalibration calibration = new ScoreCalibration(live);
    private final SplittableRandom random = new SplittableRandom(11);

    /** Requests of about 200 tokens, and the last of about 8. */
    private void fill(long tenants) {
        live.clear();
        for (int r = 0; r < REQUESTS; r++) {
            live.add(r, tenants + r, 0, 1, r == REQUESTS - 1 ? 8 : 200);
        }
        calibration.begin();
    }

    private double worth(int request, int depth) {
        return SAID * Math.exp(calibration.bias(request, depth));
    }

    /** Steps in which the drafter always gives its choices 0.9; {@code chance} is what they are worth at a depth, from 1 to 5. */
    private void steps(int count, double[] worth, double[] ofRequest) {
        for (int step = 0; step < count; step++) {
            fill(100);
            for (int r = 0; r < REQUESTS; r++) {
                for (int depth = 1; depth <= 5; depth++) {
                    calibration.observe(r, depth, worth(r, depth), random.nextDouble() < worth[depth - 1] * ofRequest[r]);
                }
            }
        }
        fill(100);
    }

    @Test
    void nothingKnownLeavesChancesAsTheyAre() {
        fill(0);
        for (int depth = 1; depth <= 8; depth++) {
            assertEquals(0, calibration.bias(2, depth));
        }
    }

    @Test
    void depthsAreWorthWhatTheyWere() {
        double[] worth = {0.9, 0.9, 0.8, 0.5, 0.45};
        steps(4000, worth, new double[] {1, 1, 1, 1});
        for (int depth = 1; depth <= 5; depth++) {
            assertEquals(worth[depth - 1], (worth(0, depth) + worth(1, depth) + worth(2, depth)) / 3, 0.04, "depth " + depth);
        }
        assertEquals(worth[4], (worth(0, 8) + worth(1, 8) + worth(2, 8)) / 3, 0.04, "depths that were not seen follow the last that was");
        // A new drafter, which is as good as it says.
        calibration.clear();
        fill(100);
        assertEquals(SAID, worth(0, 5), 1e-6);
        steps(4000, new double[] {0.9, 0.9, 0.9, 0.9, 0.9}, new double[] {1, 1, 1, 1});
        assertEquals(SAID, (worth(0, 5) + worth(1, 5) + worth(2, 5)) / 3, 0.04);
    }

    @Test
    void requestsAndLengthsDiffer() {
        double[] worth = {0.9, 0.9, 0.9, 0.9, 0.9};
        steps(3000, worth, new double[] {1, 1, 0.6, 0.7});
        double all = worth(0, 1) + worth(1, 1);
        assertTrue(worth(2, 1) < 0.8 * all / 2, worth(2, 1) + " of one that does badly, " + all / 2 + " of others");
        assertTrue(worth(3, 1) < 0.85 * all / 2, worth(3, 1) + " of a short one, " + all / 2 + " of others");
        // Others in the same seats begin as their lengths' classes are.
        fill(200);
        assertEquals(worth(0, 1), worth(2, 1), 1e-6);
        assertTrue(worth(3, 1) < 0.9 * worth(0, 1), "most of what was seen of the short one was laid to its class");
    }

    /** What is drafted past a response's end is wasted, and the class of those that are about to end learns it. */
    @Test
    void nothingIsGainedPastTheEnd() {
        for (int step = 0; step < 3000; step++) {
            fill(step);
            for (int r = 0; r < REQUESTS; r++) {
                boolean ends = r == REQUESTS - 1 && step % 2 == 0;
                if (ends) {
                    calibration.observeEnd(r, 1, worth(r, 1));
                } else {
                    calibration.observe(r, 1, worth(r, 1), random.nextDouble() < SAID);
                }
            }
        }
        fill(-10);
        assertEquals(SAID, worth(0, 1), 0.03);
        assertEquals(SAID / 2, worth(3, 1), 0.06);
    }
}

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class LiveAcceptanceTest {
    private static final SpeculationPlan CHAIN = SpeculationPlan.parse("4x1x4");

    private static double expected(AcceptanceTracker tracker) {
        return new ExpectedTokens().refresh(tracker.live()).of(CHAIN);
    }

    private static double chain(double chance) {
        return 1 + chance + Math.pow(chance, 2) + Math.pow(chance, 3) + Math.pow(chance, 4);
    }

    /** Two kinds of requests, told apart by how much is left of them, then by what was seen of each: expectations follow who is live. */
    @Test
    void expectationsAreOfTheRequestsAtHand() {
        for (boolean lengths : new boolean[] {true, false}) {
            LiveBatch live = new LiveBatch(2, (drawn, ahead, scale) -> Double.NaN);
            AcceptanceTracker tracker = new AcceptanceTracker(2000, 0.7, 20);
            tracker.attach(live);
            double[] chances = {0.9, 0.5};
            SplittableRandom random = new SplittableRandom(5);
            for (int step = 0; step < 4000; step++) {
                live.clear();
                live.add(0, 7, 0, 1, 1000);
                live.add(1, 8, 0, 1, lengths ? 10 : 1000);
                for (int r = 0; r < 2; r++) {
                    for (int depth = 1; depth <= 4; depth++) {
                        boolean hit = random.nextDouble() < chances[r];
                        tracker.observe(r, depth, hit ? 0 : -1, 1);
                        if (!hit) {
                            break;
                        }
                    }
                }
            }
            double both = expected(tracker);
            assertEquals((chain(0.9) + chain(0.5)) / 2, both, 0.06 * both, "both, lengths " + lengths);
            live.clear();
            live.add(0, 7, 0, 1, 1000);
            double better = expected(tracker);
            live.clear();
            live.add(1, 8, 0, 1, lengths ? 10 : 1000);
            double worse = expected(tracker);
            assertTrue(better > 1.12 * both && worse < 0.85 * both, better + " of the better, " + worse + " of the worse, " + both);
            if (lengths) {
                live.clear();
                live.add(1, 9, 0, 1, 10);
                double fresh = expected(tracker);
                assertTrue(fresh < 0.85 * both, fresh + " of one that was never seen, but is as short as those that did badly");
            }
        }
    }

    @Test
    void nobodyKnownIsEverybody() {
        AcceptanceTracker tracker = new AcceptanceTracker(2000, 0.7, 20);
        assertSame(tracker, tracker.live());
        tracker.attach(new LiveBatch(3, (drawn, ahead, scale) -> Double.NaN));
        for (int depth = 1; depth <= 8; depth++) {
            assertEquals(tracker.chance(depth, 1), tracker.live().chance(depth, 1), 1e-12);
        }
    }
}

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TriesTest {
    private static final double STEP = 1e-3;

    /** Steps of off, with a try of another plan whenever one is due; returns how many there were. */
    private static int tries(Tries tries, int steps, double triedSeconds) {
        int begun = 0;
        for (int step = 0; step < steps; step += 16) {
            tries.pass(4, true, 16);
            for (int i = 0; i < 16; i++) {
                tries.observe(0, STEP, 4);
            }
            if (tries.due(Tries.Kind.ON, 4, 0)) {
                tries.begin(Tries.Kind.ON, 1, 4 / STEP, 4 / STEP);
                for (int i = 0; i < Tries.STEPS; i++) {
                    tries.observe(1, triedSeconds, 4);
                }
                tries.end(4, 4 / STEP);
                begun++;
            }
        }
        return begun;
    }

    @Test
    void triesThatCostNothingComeAgain() {
        int begun = tries(new Tries(), 10_000, STEP);
        assertTrue(begun >= 60 && begun <= 80, begun + " tries");
    }

    /** Each costs four steps' time, of which a five-hundredth may be spent. */
    @Test
    void triesArePaidFromAShareOfTheTime() {
        int begun = tries(new Tries(), 100_000, 2 * STEP);
        assertTrue(begun >= 45 && begun <= 60, begun + " tries");
    }

    /** First steps that take seconds, while code is compiled, do not forbid tries for ever. */
    @Test
    void aDebtIsBounded() {
        Tries tries = new Tries();
        assertEquals(1, tries(tries, 32, 1000 * STEP));
        assertTrue(tries(tries, 10_000, STEP) >= 30);
    }
}

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TriesTest {
    private static final int BATCH = 4;
    private static final double STEP = 2e-4;

    /** Steps of off, each of four tokens in {@link #STEP} seconds. */
    private static void off(Tries tries, int steps) {
        for (int i = 0; i < steps; i++) {
            tries.step(BATCH, true);
            tries.observe(0, STEP, BATCH);
        }
    }

    /** A try that cost a hundred steps, as any does while code is compiled, puts off the next, but not for ever. */
    @Test
    void aDearTryIsForgiven() {
        Tries tries = new Tries();
        off(tries, 600);
        assertTrue(tries.due(Tries.Kind.ON, BATCH, STEP));
        tries.begin(Tries.Kind.ON, 7, BATCH / STEP, BATCH / STEP);
        assertEquals(7, tries.tried());
        tries.observe(7, 100 * STEP, BATCH);
        tries.end(BATCH, BATCH / STEP, false);
        off(tries, 600);
        assertFalse(tries.due(Tries.Kind.ON, BATCH, STEP), "what it cost is to be saved first");
        off(tries, 5000);
        assertTrue(tries.due(Tries.Kind.ON, BATCH, STEP));
    }
}

package org.respec.engine.rl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class AdvantagesTest {
    @Test
    void groupsAreComparedWithinThemselves() {
        float[] a = Advantages.of(new double[] {1, 0, 0, 1, 5, 5, 5, 5}, 4, true);
        assertArrayEquals(new float[] {0.9998f, -0.9998f, -0.9998f, 0.9998f, 0, 0, 0, 0}, a, 1e-6f);
        assertArrayEquals(new float[] {0.75f, -0.25f, -0.25f, -0.25f}, Advantages.of(new double[] {1, 0, 0, 0}, 4, false), 1e-6f);
        assertThrows(IllegalArgumentException.class, () -> Advantages.of(new double[5], 4, true));
    }

    /** The clipped objective's derivative, by differences, on both sides of the clip and with a KL term. */
    @Test
    void theLossHasItsDerivative() {
        PolicyLoss loss = new PolicyLoss(0.2f, 0.3f, 0.1f);
        for (float advantage : new float[] {-1.5f, 0, 2}) {
            for (float now : new float[] {-3, -1.1f, -1, -0.9f, -0.2f}) {
                float step = 1e-3f;
                double want = (loss.value(advantage, now + step, -1f, -1.3f) - loss.value(advantage, now - step, -1f, -1.3f)) / (2 * step);
                assertEquals(want, loss.derivative(advantage, now, -1f, -1.3f), 2e-2, "advantage " + advantage + ", now " + now);
            }
        }
    }
}

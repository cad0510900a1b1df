package org.respec.engine.rl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
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
}

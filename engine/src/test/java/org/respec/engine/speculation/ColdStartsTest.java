package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ColdStartsTest {
    private final ColdStarts starts = new ColdStarts();

    @Test
    void theMedianOfTheLastFewCounts() {
        assertEquals(0, starts.excess(8));
        starts.observe(100, 10);
        assertEquals(4 * 8, starts.excess(8), 1e-12, "no more than four times what is read");
        starts.observe(5, 10);
        assertEquals(0.5 * 8, starts.excess(8), 1e-12, "of two, the lesser");
        starts.observe(6, 10);
        starts.observe(1000, 10);
        starts.observe(4, 10);
        assertEquals(0.6 * 8, starts.excess(8), 1e-12);
        starts.observe(-3, 10);
        starts.observe(1, 2);
        assertEquals(0.5 * 8, starts.excess(8), 1e-12, "the first two are forgotten");
        starts.forget();
        assertEquals(0, starts.excess(8));
    }

    @Test
    void itFadesWhileOffUntilTheNextStart() {
        starts.observe(5, 10);
        for (int step = 0; step < 500; step++) {
            starts.fade();
        }
        assertEquals(0.5 * Math.exp(-1), starts.excess(1), 0.01);
        starts.observe(5, 10);
        assertEquals(0.5, starts.excess(1), 1e-12);
    }
}

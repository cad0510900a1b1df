package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** On machines that are made up: what a loop takes is known, alone and shared by two threads. */
class SharingThresholdTest {
    private static final long TRIP = 600;
    private static final int LOOPS = 1_000_000;

    private final SharingThreshold threshold = new SharingThreshold();
    private double slowness = 1;
    /** What work takes two threads, as a share of what it takes one, beside the trip. */
    private double sharedCost;
    /** What sharing a loop adds to the next one that is not shared, as a share of its time: its lines are in the other cache. */
    private double wake;

    /** Runs loops of 1 to 64 us of work. */
    private void run(int loops, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        threshold.trip(TRIP);
        boolean sharedBefore = false;
        for (int i = 0; i < loops; i++) {
            long work = 1000L << random.nextInt(7);
            boolean timed = threshold.next();
            boolean shared = threshold.shares(work / 2);
            double nanos = shared ? sharedCost * work + TRIP : work * (sharedBefore ? 1 + wake : 1);
            // One loop of 500 has its core taken away.
            nanos = slowness * nanos * random.nextDouble(0.9, 1.1) + (random.nextInt(500) == 0 ? 3e6 : 0);
            sharedBefore = shared;
            if (timed) {
                threshold.took(work, (long) nanos);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void sharesAllThatSavesTripsWhereSharingIsCheap(long seed) {
        sharedCost = 0.55;
        run(LOOPS, seed);
        assertTrue(threshold.shares(2 * TRIP));
        assertFalse(threshold.shares(2 * TRIP - 1));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void learnsThatSharingIsDearAndThatItNoLongerIs(long seed) {
        sharedCost = 1.2;
        wake = 0.2;
        run(LOOPS, seed);
        assertFalse(threshold.shares(32_000), "loops of 64 us are shared though that makes them slower");
        sharedCost = 0.55;
        run(LOOPS, seed + 10);
        assertTrue(threshold.shares(2 * TRIP));
    }

    @Test
    void codeThatGetsFasterSaysNothingOfSharing() {
        sharedCost = 0.88;
        slowness = 3;
        int alone = 0;
        for (int i = 0; i < 30; i++) {
            run(1000, i);
            slowness *= 0.93;
            alone += threshold.shares(4 * TRIP) ? 0 : 1;
        }
        assertTrue(alone <= 3, "not shared " + alone + " times of 30: more than probes take");
    }

    @Test
    void lessIsSharedAtOnceWhenTripsGetLonger() {
        threshold.trip(TRIP);
        assertTrue(threshold.shares(3000));
        threshold.trip(10_000);
        assertFalse(threshold.shares(3000));
    }

    @Test
    void workThatCannotBeCountedIsNotMultiplied() {
        threshold.trip(TRIP);
        int timed = 0;
        for (int i = 0; i < 20_000; i++) {
            if (threshold.next()) {
                threshold.took(Long.MAX_VALUE / (1 << 20), i);
                threshold.took(0, 0);
                timed++;
            }
        }
        assertEquals(2 * 1024, timed);
        assertTrue(threshold.shares(Long.MAX_VALUE));
    }
}

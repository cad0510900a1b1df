package org.respec.kernels.cpu;

import java.util.Arrays;

/**
 * Decides which loops are worth sharing: those that save more than a number of round trips between threads, a number that is learnt.
 * What sharing costs beyond the trips cannot be told from a loop alone, since it moves all that a loop reads and writes, and with it
 * the time of the loops around it, from one core's cache to another's. So now and then all loops go by the next larger or smaller
 * number for a while, and what they took is held against what they took just before; a number that is better twice running stays.
 *
 * <p>The same trip can mean either. On two virtual cores of one machine (Zen 4, trips of 620 ns) a decode step of the bundled actor took
 * 88 us on one thread and 102 on two; on another (Intel with AVX-512, 700 ns) 235 and 140, and a rule by trips alone that was right
 * there lost a third of the speed here.
 *
 * <p>Works in counts of loops, not in time; times are given to it.
 */
final class SharingThreshold {
    /** A loop is shared if that saves more than so many round trips, times {@link #STEP} for each level. */
    private static final long TRIPS = 2;
    private static final int STEP = 16;
    private static final int LEVELS = 3;
    /** Loops between probes, which double while probes find nothing. */
    private static final int LEAST_REST = 4096;
    private static final int MOST_REST = 1 << 16;
    /** Loops that are timed before a probe, as many after it, twice as many in it; and those in between, by which caches settle. */
    private static final int TIMED = 256;
    private static final int SETTLING = 128;
    /** A probe has to be better by so much to count. */
    private static final double BETTER = 0.97;
    /** A loop counts for no more than so many times its work and so many nanoseconds: the system took the core away. */
    private static final long MOST_WORK = 4;
    private static final long MOST_NANOS = 5_000;

    private enum Phase { RESTING, BEFORE, LEAVING, PROBE, RETURNING, AFTER }

    private Phase phase = Phase.RESTING;
    private int left = LEAST_REST;
    private int rest = LEAST_REST;
    private int level;
    /** What the probe adds to the level: 1 or -1. */
    private int direction = 1;
    /** Whether the last probe in this direction was better. */
    private boolean promising;
    private long tripNanos;
    private long least;
    /** Work and time of timed loops by the logarithm of their work: of those by the level, and of the probe's. */
    private final long[] work = new long[Long.SIZE];
    private final long[] time = new long[Long.SIZE];
    private final long[] probeWork = new long[Long.SIZE];
    private final long[] probeTime = new long[Long.SIZE];

    /** Notes what a round trip takes now. */
    void trip(long nanos) {
        tripNanos = nanos;
        update();
    }

    /** Whether a loop that the other threads save so much of is to be shared. */
    boolean shares(long gainNanos) {
        return gainNanos >= least;
    }

    /** Counts the next loop; whether its time is wanted. */
    boolean next() {
        if (left-- == 0) {
            advance();
        }
        return phase == Phase.BEFORE || phase == Phase.PROBE || phase == Phase.AFTER;
    }

    /** Notes a loop's work, in nanoseconds of one thread as estimated, and the time that it took. */
    void took(long workNanos, long nanos) {
        int bucket = Long.SIZE - 1 - Long.numberOfLeadingZeros(Math.max(1, workNanos));
        long counted = workNanos > Long.MAX_VALUE / (2 * MOST_WORK) ? nanos : Math.min(nanos, MOST_WORK * workNanos + MOST_NANOS);
        if (phase == Phase.PROBE) {
            probeWork[bucket] += workNanos;
            probeTime[bucket] += counted;
        } else {
            work[bucket] += workNanos;
            time[bucket] += counted;
        }
    }

    private void advance() {
        switch (phase) {
            case RESTING -> {
                Arrays.fill(work, 0);
                Arrays.fill(time, 0);
                Arrays.fill(probeWork, 0);
                Arrays.fill(probeTime, 0);
                enter(Phase.BEFORE, TIMED);
            }
            case BEFORE -> enter(Phase.LEAVING, SETTLING);
            case LEAVING -> enter(Phase.PROBE, 2 * TIMED);
            case PROBE -> enter(Phase.RETURNING, SETTLING);
            case RETURNING -> enter(Phase.AFTER, TIMED);
            case AFTER -> conclude();
        }
    }

    /** Time that the probe's loops took, over what they would have taken by the level; 1 where nothing tells. */
    private double ratio() {
        double taken = 0;
        double expected = 0;
        for (int i = 0; i < work.length; i++) {
            if (work[i] > 0) {
                taken += probeTime[i];
                expected += (double) probeWork[i] * time[i] / work[i];
            }
        }
        return expected > 0 ? taken / expected : 1;
    }

    private void conclude() {
        boolean better = ratio() < BETTER;
        if (better && promising) {
            level += direction;
            rest = LEAST_REST;
        } else if (!better) {
            direction = -direction;
            rest = Math.min(MOST_REST, 2 * rest);
        }
        promising = better && !promising;
        if (level + direction < 0 || level + direction == LEVELS) {
            direction = -direction;
        }
        enter(Phase.RESTING, promising ? SETTLING : rest);
    }

    private void enter(Phase next, int loops) {
        phase = next;
        left = loops - 1;
        update();
    }

    private void update() {
        int now = phase == Phase.LEAVING || phase == Phase.PROBE ? level + direction : level;
        least = TRIPS * tripNanos;
        for (int i = 0; i < now; i++) {
            least *= STEP;
        }
    }
}

package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * By how much the first steps after off take longer than what is known of plans and of the drafter's extension says: weights, features
 * and keys that were long not read are in no cache. That grows with what is read, for which stands what off takes for the batch and what
 * the extension is thought to take: of 26 requests it was about half of both together, of 3 to 5 a fifth to a half. The median of the
 * last few counts, since a single one may have been interrupted, or was the first to run some code.
 */
final class ColdStarts {
    private static final int KEPT = 5;
    /** No first step is believed to be longer by more than so many times both. */
    private static final double MOST = 4;
    /** By step of off what was seen fades: it was seen while code was compiled, perhaps, and who stays off learns no better. */
    private static final double DECAY = 0.998;

    private final double[] last = new double[KEPT];
    private final double[] sorted = new double[KEPT];
    private int count;
    private double share;

    /**
     * A first step took {@code excess} seconds more than was expected.
     *
     * @param seconds what off takes for the batch, and what the extension was thought to take
     */
    void observe(double excess, double seconds) {
        last[count++ % KEPT] = Math.clamp(excess / seconds, 0, MOST);
        int known = Math.min(count, KEPT);
        System.arraycopy(last, 0, sorted, 0, known);
        Arrays.sort(sorted, 0, known);
        share = sorted[(known - 1) / 2];
    }

    /** A step of off has passed. */
    void fade() {
        share *= DECAY;
    }

    void forget() {
        count = 0;
        share = 0;
    }

    /** Seconds by which a first step is longer, where off takes, and the extension is thought to take, {@code seconds} together. */
    double excess(double seconds) {
        return share * seconds;
    }
}

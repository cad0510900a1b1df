package org.respec.tools.experiment;

import java.util.Arrays;

/**
 * What was chosen while a load began and ended once: the steps before it, those under it, and those after it.
 *
 * @param depths depth of each step's plan, 0 for off
 * @param nanos when each step was decided on
 * @param tokens tokens that each step gained
 * @param shares what others were seen to use of the device at each step, 0 to 1
 * @param begin first step under the load
 * @param end first step after it
 */
record LoadPair(int[] depths, long[] nanos, int[] tokens, double[] shares, int begin, int end) {
    /** Steps whose mean is taken for the depth at the last of them: single steps are tries of what is not taken, at times. */
    static final int WINDOW = 16;

    LoadPair {
        if (begin < WINDOW || end < begin + WINDOW || depths.length < end + WINDOW || nanos.length != depths.length
            || tokens.length != depths.length || shares.length != depths.length) {
            throw new IllegalArgumentException(depths.length + " steps with a load from " + begin + " to " + end);
        }
    }

    /** Steps {@code from} to {@code to} of these alone. */
    LoadPair part(int from, int to) {
        return new LoadPair(Arrays.copyOfRange(depths, from, to), Arrays.copyOfRange(nanos, from, to), Arrays.copyOfRange(tokens, from, to),
            Arrays.copyOfRange(shares, from, to), begin - from, end - from);
    }

    private double mean(int from, int to) {
        return Arrays.stream(depths, from, to).average().orElseThrow();
    }

    /** Mean depth before the load, over the second half of these steps, in which what the load before them left has faded. */
    double before() {
        return mean(begin / 2, begin);
    }

    /** Mean depth under the load, in the second half. */
    double during() {
        return mean((begin + end) / 2, end);
    }

    /** Mean depth after the load, in the second half. */
    double after() {
        return mean((end + depths.length) / 2, depths.length);
    }

    /** Depth at a step: the mean over the last {@link #WINDOW} steps. */
    double at(int step) {
        return mean(step + 1 - WINDOW, step + 1);
    }

    /** Steps under the load until the depth had come half of the way from {@link #before} to {@link #during}; infinite for never. */
    double stepsToFall() {
        return during() < before() ? stepsUntil(begin, end, (before() + during()) / 2, true) : Double.POSITIVE_INFINITY;
    }

    /** Steps after the load until the depth had come half of the way from {@link #during} to {@link #after}; infinite for never. */
    double stepsToRise() {
        return after() > during() ? stepsUntil(end, depths.length, (during() + after()) / 2, false) : Double.POSITIVE_INFINITY;
    }

    private double stepsUntil(int from, int to, double level, boolean fall) {
        for (int step = from; step < to; step++) {
            if (fall ? at(step) <= level : at(step) >= level) {
                return step + 1.0 - from;
            }
        }
        return Double.POSITIVE_INFINITY;
    }

    /** Milliseconds of so many steps from one on; infinite for infinitely many. */
    double milliseconds(int from, double steps) {
        return Double.isInfinite(steps) ? steps : (nanos[Math.min(from + (int) steps, nanos.length - 1)] - nanos[from]) * 1e-6;
    }

    /** What others used in the second half before the load, mean over the steps. */
    double shareBefore() {
        return Arrays.stream(shares, begin / 2, begin).average().orElseThrow();
    }

    /** What others used under the load, from the first step on. */
    double shareDuring() {
        return Arrays.stream(shares, begin, end).average().orElseThrow();
    }

    /** Tokens per second from one step to another. */
    double tokensPerSecond(int from, int to) {
        return Arrays.stream(tokens, from, to).sum() / ((nanos[Math.min(to, nanos.length - 1)] - nanos[from]) * 1e-9);
    }
}

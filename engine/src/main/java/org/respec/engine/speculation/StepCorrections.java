package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * What passes really take over what a profile says, by size of the batch and rows per request. Most of a difference is laid to that
 * number of rows and, less and less, to its neighbours; a little to the machine as a whole. Corrections fade, so that a plan that
 * once met a busy machine is tried again.
 */
final class StepCorrections {
    /** Batches of 1, 2, 3-4, 5-8, ... share their corrections. */
    static final int SIZES = 33;
    private static final double LEARN = 0.25;
    private static final double LEARN_SCALE = 0.01;
    private static final double FADE = 0.001;
    /** Doublings of rows after which a neighbour learns nothing. */
    private static final double REACH = 0.7;

    private final double[][] factors;
    /** What was known a while ago, and longer ago: see {@link #recall}. */
    private double[][] recent;
    private double[][] old;
    private double recentScale = 1;
    private double oldScale = 1;
    /** What share of an error at some rows each other number of rows learns. */
    private final double[][] nearness;
    private double scale = 1;

    StepCorrections(int maxRows) {
        factors = ones(maxRows);
        recent = ones(maxRows);
        old = ones(maxRows);
        nearness = new double[maxRows + 1][maxRows + 1];
        for (int rows = 1; rows <= maxRows; rows++) {
            for (int i = 1; i <= maxRows; i++) {
                nearness[rows][i] = Math.max(0, 1 - Math.abs(Math.log((double) i / rows)) / (REACH * Math.log(2)));
            }
        }
    }

    private static double[][] ones(int maxRows) {
        double[][] ones = new double[SIZES][maxRows + 1];
        for (double[] row : ones) {
            Arrays.fill(row, 1);
        }
        return ones;
    }

    /** Keeps what is known now, and what was kept the last time, for {@link #recall}. */
    void remember() {
        double[][] oldest = old;
        old = recent;
        recent = oldest;
        copy(factors, recent);
        oldScale = recentScale;
        recentScale = scale;
    }

    /** Goes back to what was known before the last {@link #remember}: what was learnt since is no longer to be trusted. */
    void recall() {
        copy(old, factors);
        copy(old, recent);
        scale = oldScale;
        recentScale = oldScale;
    }

    private static void copy(double[][] from, double[][] to) {
        for (int i = 0; i < from.length; i++) {
            System.arraycopy(from[i], 0, to[i], 0, from[i].length);
        }
    }

    /** Which corrections a batch shares. */
    static int size(int batch) {
        return 32 - Integer.numberOfLeadingZeros(Math.max(1, batch) - 1);
    }

    /** By how much the profile's seconds are to be multiplied. */
    double factor(int batch, int rowsEach) {
        return scale * factors[size(batch)][rowsEach];
    }

    /** A pass took {@code ratio} times what the profile says. */
    void observe(int batch, int rowsEach, double ratio) {
        double[] row = factors[size(batch)];
        // A step that was interrupted says nothing about the next.
        double error = Math.clamp(ratio / (scale * row[rowsEach]), 0.5, 2.0) - 1;
        double[] near = nearness[rowsEach];
        for (int i = 1; i < row.length; i++) {
            row[i] = (row[i] + FADE * (1 - row[i])) * (1 + LEARN * near[i] * error);
        }
        scale *= 1 + LEARN_SCALE * error;
    }
}

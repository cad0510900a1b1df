package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * What steps really take over what a profile says. A machine that is faster or slower at one time than at another is one thing, and
 * concerns all plans alike: one factor follows every step. How much dearer some rows are beside others than the profile says is another,
 * and can only be seen where one number of rows follows another on the same batch: what the first steps after such a change show is laid
 * half to the new rows and half, the other way, to the old ones, since a comparison says nothing of either alone.
 */
final class StepCorrections {
    /** Batches of 1, 2, 3-4, 5-8, ... share their corrections. */
    static final int SIZES = 33;
    private static final double LEARN = 0.25;
    /** Steps after a change of rows that are compared with those before it, and what part of an error each puts right. */
    private static final int COMPARED = 4;
    private static final double LEARN_COMPARED = 0.3;
    private static final double LEARN_DRAFT = 0.1;
    /** Standard deviations of what is known that what is not known may differ by. */
    private static final double DEVIATIONS = 1.5;
    /** Doublings of rows after which a neighbour learns nothing. */
    private static final double REACH = 0.7;

    private double machine = 1;
    private final Relative verify;
    private final Relative draft;
    private int lastSize = -1;
    private int lastRows;
    /** Rows before the present ones, and steps since. */
    private int beforeRows;
    private int steps = COMPARED;
    private long now;
    /** Until when nothing is compared. */
    private long apart;

    /** For up to {@code maxRows} verified rows and {@code maxBranch} branches per request. */
    StepCorrections(int maxRows, int maxBranch) {
        verify = new Relative(maxRows);
        draft = new Relative(maxBranch);
    }

    /** Which corrections a batch shares. */
    static int size(int batch) {
        return 32 - Integer.numberOfLeadingZeros(Math.max(1, batch) - 1);
    }

    /** By how much the machine as a whole is slower than the profile says. */
    double machine() {
        return machine;
    }

    /** By how much the profile's seconds of a verify pass are to be multiplied. */
    double verify(int batch, int rowsEach) {
        return machine * verify.factors[size(batch)][rowsEach];
    }

    /** By how much the profile's seconds of drafting are to be multiplied. */
    double draft(int batch, int branch) {
        return machine * draft.factors[size(batch)][branch];
    }

    /** Steps since a pass with so many rows was observed. */
    long age(int batch, int rowsEach) {
        return now - verify.seen[size(batch)][rowsEach];
    }

    /** How many times dearer or cheaper than it seems a pass of rows may be that were not seen: as much as others were than was thought. */
    double doubt(int batch) {
        double sum = 0;
        int known = 0;
        double[] factors = verify.factors[size(batch)];
        long[] seen = verify.seen[size(batch)];
        for (int i = 1; i < factors.length; i++) {
            if (seen[i] > 0) {
                sum += Math.pow(Math.log(factors[i]), 2);
                known++;
            }
        }
        return known == 0 ? 1 : Math.exp(DEVIATIONS * Math.sqrt(sum / known));
    }

    /** The machine is not what it was: what the next {@code count} steps show is not held against what was before them. */
    void part(int count) {
        apart = now + count;
        steps = COMPARED;
    }

    /** A verify pass took {@code ratio} times what the profile says. */
    void observeVerify(int batch, int rowsEach, double ratio) {
        int size = size(batch);
        if (size != lastSize || now < apart) {
            // The profile may be wrong about one batch beside another, but not about its plans for that.
            steps = COMPARED;
        } else if (rowsEach != lastRows) {
            beforeRows = lastRows;
            steps = 0;
        }
        lastSize = size;
        lastRows = rowsEach;
        verify.seen[size][rowsEach] = ++now;
        double error = error(ratio, verify(batch, rowsEach));
        if (steps < COMPARED) {
            steps++;
            double half = Math.pow(error, LEARN_COMPARED / 2);
            verify.learn(size, rowsEach, half);
            verify.learn(size, beforeRows, 1 / half);
            machine *= half;
        } else {
            machine *= 1 + LEARN * (error - 1);
        }
    }

    /** Drafting took {@code ratio} times what the profile says, in a step whose verify pass was observed. */
    void observeDraft(int batch, int branch, double ratio) {
        draft.learn(size(batch), branch, Math.pow(error(ratio, draft(batch, branch)), LEARN_DRAFT));
    }

    /** A step that was interrupted says nothing about the next. */
    private static double error(double ratio, double factor) {
        return Math.clamp(ratio / factor, 0.5, 2.0);
    }

    /** Factors by size of the batch and rows per request. */
    private static final class Relative {
        final double[][] factors;
        /** When rows were last observed. */
        final long[][] seen;
        /** What share of an error at some rows each other number of rows learns. */
        private final double[][] nearness;

        Relative(int maxRows) {
            factors = new double[SIZES][maxRows + 1];
            seen = new long[SIZES][maxRows + 1];
            for (int size = 0; size < SIZES; size++) {
                Arrays.fill(factors[size], 1);
                Arrays.fill(seen[size], Integer.MIN_VALUE);
            }
            nearness = new double[maxRows + 1][maxRows + 1];
            for (int rows = 1; rows <= maxRows; rows++) {
                for (int i = 1; i <= maxRows; i++) {
                    nearness[rows][i] = Math.max(0, 1 - Math.abs(Math.log((double) i / rows)) / (REACH * Math.log(2)));
                }
            }
        }

        void learn(int size, int rowsEach, double factor) {
            double[] row = factors[size];
            double[] near = nearness[rowsEach];
            for (int i = 1; i < row.length; i++) {
                row[i] *= 1 + near[i] * (factor - 1);
            }
        }
    }
}

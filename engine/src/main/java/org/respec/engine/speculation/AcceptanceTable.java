package org.respec.engine.speculation;

import java.util.Arrays;
import org.respec.kernels.TreeBatch;

/**
 * Given chances by depth and rank. Depths past the last given one are as it is; ranks that are not given have no chance, so that where
 * one number a depth is all that is known a tree's branching changes what it costs but not what it gains.
 */
public final class AcceptanceTable implements Acceptance {
    /** Rounding of sums of chances written in decimals. */
    private static final double SLACK = 1e-9;

    private final double[][] chances = new double[TreeBatch.MAX_DEPTH][TreeBatch.MAX_BRANCH];

    /**
     * @param perDepth at {@code [depth - 1][rank]}: chances from 0 to 1, at most 1 over all ranks of a depth
     */
    public AcceptanceTable(double[][] perDepth) {
        if (perDepth.length < 1 || perDepth.length > TreeBatch.MAX_DEPTH) {
            throw new IllegalArgumentException("chances of " + perDepth.length + " depths");
        }
        for (int d = 0; d < chances.length; d++) {
            double[] given = perDepth[Math.min(d, perDepth.length - 1)];
            if (given.length < 1 || given.length > TreeBatch.MAX_BRANCH || firstExcess(perDepth) >= 0) {
                throw new IllegalArgumentException("chances " + Arrays.toString(given));
            }
            System.arraycopy(given, 0, chances[d], 0, given.length);
        }
    }

    /** The first row that is no distribution over ranks and none of them, or -1. */
    static int firstExcess(double[][] perDepth) {
        for (int d = 0; d < perDepth.length; d++) {
            if (!(Arrays.stream(perDepth[d]).min().orElse(0) >= 0) || !(Arrays.stream(perDepth[d]).sum() <= 1 + SLACK)) {
                return d;
            }
        }
        return -1;
    }

    @Override
    public double chance(int depth, int rank) {
        return chances[depth - 1][rank];
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof AcceptanceTable table && Arrays.deepEquals(chances, table.chances);
    }

    @Override
    public int hashCode() {
        return Arrays.deepHashCode(chances);
    }
}

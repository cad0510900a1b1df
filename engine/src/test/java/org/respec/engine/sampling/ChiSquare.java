package org.respec.engine.sampling;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** Pearson's test of counts against expected ones. Cells too small for it are joined with their neighbours in size. */
public final class ChiSquare {
    private static final double LEAST_EXPECTED = 10;

    private double statistic;
    private int cells;

    /** Adds one multinomial: {@code counts} of draws from {@code probabilities}. */
    public ChiSquare add(long[] counts, double[] probabilities) {
        long total = 0;
        for (long count : counts) {
            total += count;
        }
        List<Integer> order = new ArrayList<>(IntStream.range(0, counts.length).boxed().toList());
        order.sort(Comparator.comparingDouble(x -> -probabilities[x]));
        double sum = 0;
        double lastExpected = 0;
        double lastSeen = 0;
        int added = 0;
        double expected = 0;
        double seen = 0;
        for (int x : order) {
            if (probabilities[x] == 0 && counts[x] > 0) {
                throw new AssertionError(counts[x] + " draws of " + x + ", which has no chance");
            }
            expected += total * probabilities[x];
            seen += counts[x];
            if (expected >= LEAST_EXPECTED) {
                sum += term(seen, expected);
                lastExpected = expected;
                lastSeen = seen;
                added++;
                expected = 0;
                seen = 0;
            }
        }
        if (expected > 0 && added > 0) {
            // What is left joins the last cell.
            sum += term(lastSeen + seen, lastExpected + expected) - term(lastSeen, lastExpected);
        }
        if (added > 1) {
            statistic += sum;
            cells += added - 1;
        }
        return this;
    }

    private static double term(double seen, double expected) {
        return (seen - expected) * (seen - expected) / expected;
    }

    public double statistic() {
        return statistic;
    }

    public int degrees() {
        return cells;
    }

    /** The 0.9999 quantile for this many degrees (Wilson and Hilferty, 1931). */
    public double bound() {
        return bound(cells);
    }

    /** The 0.9999 quantile of chi-square. */
    public static double bound(int degrees) {
        double a = 2.0 / (9 * degrees);
        return degrees * Math.pow(1 - a + 3.719 * Math.sqrt(a), 3);
    }

    /** Fails if the counts are further from the probabilities than one in 10,000 is by chance, or if nothing was compared. */
    public void check(String what) {
        System.out.printf(Locale.ROOT, "chi-square, %s: %.1f with %d degrees of freedom (bound %.1f)%n", what, statistic, cells, bound());
        if (cells < 1 || !(statistic <= bound())) {
            throw new AssertionError(what + ": chi-square " + statistic + " with " + cells + " degrees of freedom is over " + bound());
        }
    }
}

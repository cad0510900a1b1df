package org.respec.tools.experiment;

import java.util.Arrays;
import java.util.Locale;

/** How values of one quantity lie; {@code sd} is the standard deviation of the sample, 0 for one value. */
public record Spread(int n, double min, double median, double max, double mean, double sd) {
    static Spread of(double... values) {
        if (values.length == 0) {
            throw new IllegalArgumentException("a spread of no values");
        }
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int n = sorted.length;
        double median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
        double mean = Arrays.stream(sorted).average().orElseThrow();
        double squares = Arrays.stream(sorted).map(v -> (v - mean) * (v - mean)).sum();
        return new Spread(n, sorted[0], median, sorted[n - 1], mean, n == 1 ? 0 : Math.sqrt(squares / (n - 1)));
    }

    @Override
    public String toString() {
        return Table.number(median) + (n == 1 ? "" : String.format(Locale.ROOT, " (%s-%s)", Table.number(min), Table.number(max)));
    }
}

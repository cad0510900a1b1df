package org.respec.engine.speculation;

import java.util.Map;
import java.util.TreeMap;

/**
 * Seconds (or milliseconds) of something by batch. Straight lines between the points, since a pass costs a fixed part and a part per
 * row. Outside them the line through the two nearest points goes on, its slope kept between 0 and that of the line through the origin:
 * a larger batch takes neither less time nor more per request. Of a single point only these bounds are known, and the dearer one
 * counts: the same below it, in proportion above.
 */
final class BatchCurve {
    private final int[] batches;
    private final double[] values;

    /** At least one point; values are 0 or more. */
    BatchCurve(Map<Integer, Double> points) {
        TreeMap<Integer, Double> sorted = new TreeMap<>(points);
        batches = sorted.keySet().stream().mapToInt(Integer::intValue).toArray();
        values = sorted.values().stream().mapToDouble(Double::doubleValue).toArray();
    }

    double at(int batch) {
        int last = batches.length - 1;
        if (last == 0) {
            return values[0] * Math.max(1.0, (double) batch / batches[0]);
        }
        if (batch < batches[0]) {
            return values[0] - slope(0, 0) * (batches[0] - batch);
        }
        if (batch > batches[last]) {
            return values[last] + slope(last - 1, last) * (batch - batches[last]);
        }
        int hi = 1;
        while (batches[hi] < batch) {
            hi++;
        }
        double share = (double) (batch - batches[hi - 1]) / (batches[hi] - batches[hi - 1]);
        return share == 1 ? values[hi] : values[hi - 1] + share * (values[hi] - values[hi - 1]);
    }

    /** Slope of the line from point {@code low} to the next, within the bounds at point {@code end}. */
    private double slope(int low, int end) {
        double slope = (values[low + 1] - values[low]) / (batches[low + 1] - batches[low]);
        return Math.clamp(slope, 0, values[end] / batches[end]);
    }
}

package org.respec.tools.experiment;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/**
 * A training run as it was seen from outside.
 *
 * @param iterations lines of {@code metrics.jsonl}
 * @param seconds wall time of each iteration
 */
record Trace(Variant variant, long seed, List<ObjectNode> iterations, double[] seconds, ObjectNode summary) {
    /** A number of every iteration, by JSON pointer; NaN where it is missing. */
    double[] series(String pointer) {
        return iterations.stream().mapToDouble(line -> line.at(pointer).asDouble(Double.NaN)).toArray();
    }

    /** Mean of a number over the last {@code count} iterations that have it. */
    double last(String pointer, int count) {
        double[] all = series(pointer);
        double sum = 0;
        int seen = 0;
        for (int i = all.length - 1; i >= 0 && seen < count; i--) {
            if (!Double.isNaN(all[i])) {
                sum += all[i];
                seen++;
            }
        }
        return seen == 0 ? Double.NaN : sum / seen;
    }
}

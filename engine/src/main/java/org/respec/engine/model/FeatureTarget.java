package org.respec.engine.model;

import org.respec.kernels.Tensor;

/**
 * Where a pass keeps its rows' features.
 *
 * @param parts [rows x hidden] in the actor's type for each captured layer, ascending
 * @param rows I32 vector of the rows of {@code parts} that the pass's rows go to, all different; null for the same rows
 */
public record FeatureTarget(Tensor[] parts, Tensor rows) {
    /** A target whose parts lie side by side in {@code features}, [rows x count * hidden]. */
    public static FeatureTarget in(Tensor features, int count, Tensor rows) {
        int hidden = features.cols() / count;
        Tensor[] parts = new Tensor[count];
        for (int i = 0; i < count; i++) {
            parts[i] = features.columns(i * hidden, (i + 1) * hidden);
        }
        return new FeatureTarget(parts, rows);
    }
}

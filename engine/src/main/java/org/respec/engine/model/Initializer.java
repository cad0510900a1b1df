package org.respec.engine.model;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.NoiseField;

/** Fresh weights: norms 1, matrices normal with variance 1 / inputs, projections back into the residual stream scaled down. */
public final class Initializer {
    private Initializer() {
    }

    /**
     * Fills {@code weights}; element n is a function of {@code seed} and n.
     *
     * @param layers decoder layers, by which what they add to the residual stream is scaled (1 / sqrt(2 layers), as in GPT-2)
     */
    public static void fill(ParameterSet weights, int layers, long seed) {
        MemorySegment bytes = weights.hostBytes();
        long at = 0;
        for (TensorSpec spec : weights.specs()) {
            long size = (long) spec.rows() * spec.cols();
            double scale = scale(spec, layers);
            for (long i = 0; i < size; i++, at++) {
                bytes.setAtIndex(ValueLayout.JAVA_FLOAT, at, spec.name().endsWith("norm.weight") ? 1f : (float) (scale * normal(seed, at)));
            }
        }
        weights.upload();
    }

    /** Standard deviation of a matrix's elements. */
    static double scale(TensorSpec spec, int layers) {
        boolean residual = spec.name().endsWith("o_proj.weight") || spec.name().endsWith("down_proj.weight");
        return Math.sqrt(1.0 / spec.cols()) * (residual ? 1 / Math.sqrt(2.0 * layers) : 1);
    }

    /** Standard normal variate (Box and Muller, 1958). */
    static double normal(long seed, long n) {
        double u = ((NoiseField.bits(seed, n, 0) >>> 11) + 0.5) * 0x1p-53;
        double v = (NoiseField.bits(seed, n, 1) >>> 11) * 0x1p-53;
        return StrictMath.sqrt(-2 * StrictMath.log(u)) * StrictMath.cos(2 * Math.PI * v);
    }
}

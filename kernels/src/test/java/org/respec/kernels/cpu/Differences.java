package org.respec.kernels.cpu;

import java.util.function.ToDoubleFunction;
import org.respec.kernels.Tensor;

/** Gradients of functions of doubles by central differences: they share no formula with the operators they check. */
final class Differences {
    private Differences() {
    }

    /** The gradient of {@code f} at {@code x}, good to about nine digits for functions and arguments around 1. */
    static double[] gradient(double[] x, ToDoubleFunction<double[]> f) {
        double[] at = x.clone();
        double[] gradient = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            double step = 1e-5 * Math.max(1, Math.abs(x[i]));
            at[i] = x[i] + step;
            double up = f.applyAsDouble(at);
            at[i] = x[i] - step;
            double down = f.applyAsDouble(at);
            at[i] = x[i];
            gradient[i] = (up - down) / (2 * step);
        }
        return gradient;
    }

    /** One row of a tensor, widened. */
    static double[] row(Tensor tensor, int row) {
        double[] values = new double[tensor.cols()];
        for (int c = 0; c < values.length; c++) {
            values[c] = TestTensors.get(tensor, row, c);
        }
        return values;
    }
}

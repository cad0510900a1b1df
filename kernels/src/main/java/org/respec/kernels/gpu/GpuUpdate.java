package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Gradient norm and AdamW: checks, then launches. */
final class GpuUpdate {
    private final SquaredNormKernel squaredNorm;
    private final AdamwKernel adamw;

    GpuUpdate(GpuContext gpu) {
        squaredNorm = new SquaredNormKernel(gpu);
        adamw = new AdamwKernel(gpu);
    }

    double squaredNorm(Tensor x) {
        Checks.dtype("squaredNorm", "x", x, DType.F32);
        if (!x.contiguous()) {
            throw new IllegalArgumentException("squaredNorm: x must lie without gaps, got " + x);
        }
        return squaredNorm.launch(x);
    }

    void adamWConvert(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1,
            float beta2, float eps, float weightDecay, int step, float gradientScale) {
        FloatChecks.shape("adamWConvert", "copy", copy, 1, weights.cols());
        Checks.dtype("adamWConvert", "copy", copy, DType.BF16);
        launch(weights, copy, gradients, first, second, learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
    }

    void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps,
            float weightDecay, int step, float gradientScale) {
        launch(weights, null, gradients, first, second, learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
    }

    private void launch(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1,
            float beta2, float eps, float weightDecay, int step, float gradientScale) {
        int size = weights.cols();
        Checks.shape("adamW", "weights", weights, 1, size);
        Checks.shape("adamW", "gradients", gradients, 1, size);
        FloatChecks.shape("adamW", "first", first, 1, size);
        FloatChecks.shape("adamW", "second", second, 1, size);
        Checks.dtype("adamW", "second", second, first.dtype());
        if (step < 1) {
            throw new IllegalArgumentException("adamW: step must be 1 or more, got " + step);
        }
        adamw.launch(weights, copy, gradients, first, second, learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
    }
}

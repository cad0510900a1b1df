package org.respec.kernels.gpu;

import org.respec.kernels.Tensor;

/** Gradient norm and AdamW: checks, then launches. */
final class GpuUpdate {
    private final GpuContext gpu;

    GpuUpdate(GpuContext gpu) {
        this.gpu = gpu;
    }

    double squaredNorm(Tensor x) {
        throw new UnsupportedOperationException("squaredNorm has no CUDA kernel yet");
    }

    void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps,
            float weightDecay, int step, float gradientScale) {
        throw new UnsupportedOperationException("adamW has no CUDA kernel yet");
    }
}

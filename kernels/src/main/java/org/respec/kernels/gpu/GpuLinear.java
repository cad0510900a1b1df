package org.respec.kernels.gpu;

import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Matrix products by cuBLAS. */
final class GpuLinear {
    private final GpuContext gpu;

    GpuLinear(GpuContext gpu) {
        this.gpu = gpu;
    }

    PackedMatrix pack(TensorArena arena, Tensor weight) {
        throw new UnsupportedOperationException("pack has no CUDA kernel yet");
    }

    void repack(Tensor weight, PackedMatrix packed) {
        throw new UnsupportedOperationException("repack has no CUDA kernel yet");
    }

    void linear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        throw new UnsupportedOperationException("linear has no CUDA kernel yet");
    }

    void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        throw new UnsupportedOperationException("linearBackwardInput has no CUDA kernel yet");
    }

    void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        throw new UnsupportedOperationException("linearBackwardWeight has no CUDA kernel yet");
    }
}

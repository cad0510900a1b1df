package org.respec.kernels.gpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.Tensor;

/** QK-norm with rotation and its gradient: checks, then launches. */
final class GpuRope {
    private final GpuContext gpu;

    GpuRope(GpuContext gpu) {
        this.gpu = gpu;
    }

    void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
            Tensor rope, Tensor out, int rows) {
        throw new UnsupportedOperationException("qkNormRope has no CUDA kernel yet");
    }

    void qkNormRopeBackward(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
            Tensor rope, Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows) {
        throw new UnsupportedOperationException("qkNormRopeBackward has no CUDA kernel yet");
    }
}

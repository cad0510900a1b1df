package org.respec.kernels.gpu;

import org.respec.kernels.Tensor;

/** Fused distillation: checks, then launches. */
final class GpuLosses {
    private final GpuContext gpu;

    GpuLosses(GpuContext gpu) {
        this.gpu = gpu;
    }

    void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor weights, Tensor losses, int rows) {
        throw new UnsupportedOperationException("klDistill has no CUDA kernel yet");
    }
}

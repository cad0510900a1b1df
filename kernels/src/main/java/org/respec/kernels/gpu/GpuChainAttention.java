package org.respec.kernels.gpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;

/** Causal training attention with unrolled draft steps, and its gradient: checks, then launches. */
final class GpuChainAttention {
    private final GpuContext gpu;

    GpuChainAttention(GpuContext gpu) {
        this.gpu = gpu;
    }

    void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        throw new UnsupportedOperationException("chainAttention has no CUDA kernel yet");
    }

    void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
            Tensor[] dSteps, int rows) {
        throw new UnsupportedOperationException("chainAttentionBackward has no CUDA kernel yet");
    }
}

package org.respec.kernels.gpu;

import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;

/** Coupled sampling and log-probabilities: checks, then launches. */
final class GpuSampling {
    private final GpuContext gpu;

    GpuSampling(GpuContext gpu) {
        this.gpu = gpu;
    }

    void sample(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows) {
        throw new UnsupportedOperationException("sample has no CUDA kernel yet");
    }

    void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails) {
        throw new UnsupportedOperationException("topLogProbs has no CUDA kernel yet");
    }

    void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows) {
        throw new UnsupportedOperationException("logProbs has no CUDA kernel yet");
    }

    void logProbsBackward(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows) {
        throw new UnsupportedOperationException("logProbsBackward has no CUDA kernel yet");
    }
}

package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.Tensor;

/** Fills, copies, sums, gathers, embeddings, RMS norm and SwiGLU with their gradients: checks, then launches. */
final class GpuElementwise {
    private final RmsNormKernel rmsNorm;

    GpuElementwise(GpuContext gpu) {
        rmsNorm = new RmsNormKernel(gpu);
    }

    void fill(Tensor x, float value) {
        throw new UnsupportedOperationException("fill has no CUDA kernel yet");
    }

    void copy(Tensor src, Tensor dst, int rows) {
        throw new UnsupportedOperationException("copy has no CUDA kernel yet");
    }

    void add(Tensor x, Tensor y, int rows) {
        throw new UnsupportedOperationException("add has no CUDA kernel yet");
    }

    void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count) {
        throw new UnsupportedOperationException("copyRows has no CUDA kernel yet");
    }

    void embedding(Tensor table, Tensor tokens, Tensor out, int rows) {
        throw new UnsupportedOperationException("embedding has no CUDA kernel yet");
    }

    void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, int rows) {
        Checks.matrix("rmsNorm", "x", x, x.dtype(), rows, x.cols());
        Checks.matrix("rmsNorm", "weight", weight, x.dtype(), 1, x.cols());
        Checks.matrix("rmsNorm", "out", out, x.dtype(), rows, x.cols());
        rmsNorm.launch(x, weight, eps, out, rows);
    }

    void swiglu(Tensor gateUp, Tensor out, int rows) {
        throw new UnsupportedOperationException("swiglu has no CUDA kernel yet");
    }

    void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        throw new UnsupportedOperationException("embeddingBackward has no CUDA kernel yet");
    }

    void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows) {
        throw new UnsupportedOperationException("rmsNormBackward has no CUDA kernel yet");
    }

    void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows) {
        throw new UnsupportedOperationException("swigluBackward has no CUDA kernel yet");
    }
}

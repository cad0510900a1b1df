package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Gradient norm and AdamW: checks, then launches. */
final class GpuUpdate implements AutoCloseable {
    private final GpuContext gpu;
    private final SquaredNormKernel squaredNorm;
    private final AdamwKernel adamw;
    /** Null until moments are in host memory. */
    private HostMoments hostMoments;

    GpuUpdate(GpuContext gpu) {
        this.gpu = gpu;
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

    /** @param copy null for none */
    void adamW(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, AdamwKernel.Step step) {
        int size = weights.cols();
        Checks.shape("adamW", "weights", weights, 1, size);
        Checks.shape("adamW", "gradients", gradients, 1, size);
        FloatChecks.shape("adamW", "first", first, 1, size);
        FloatChecks.shape("adamW", "second", second, 1, size);
        Checks.dtype("adamW", "second", second, first.dtype());
        if (copy != null) {
            FloatChecks.shape("adamW", "copy", copy, 1, size);
            Checks.dtype("adamW", "copy", copy, DType.BF16);
        }
        if (step.number() < 1) {
            throw new IllegalArgumentException("adamW: step must be 1 or more, got " + step.number());
        }
        boolean onHost = isPinned(first);
        if (onHost != isPinned(second) || onHost && first.dtype() != DType.F32) {
            throw new IllegalArgumentException("adamW: moments in host memory must both be there, in F32, got " + first + " and " + second);
        }
        if (!onHost) {
            adamw.launch(weights, copy, gradients, first, second, step);
            return;
        }
        if (hostMoments == null) {
            hostMoments = new HostMoments(gpu, adamw);
        }
        hostMoments.launch(weights, copy, gradients, first, second, step);
    }

    private static boolean isPinned(Tensor tensor) {
        return tensor.storage() instanceof PinnedStorage;
    }

    @Override
    public void close() {
        if (hostMoments != null) {
            hostMoments.close();
        }
    }
}

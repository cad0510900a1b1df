package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code adamw.cu}. */
final class AdamwKernel {
    private static final KernelSpec ALONE = KernelSpec.of("adamw.cu", "adamw").with("COPY_BF16", 0);
    private static final KernelSpec COPYING = ALONE.with("COPY_BF16", 1);
    private static final int PER_THREAD = 4;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final Arguments copyingArguments;
    private final LoadedKernel[] alone;
    private final LoadedKernel[] copying;

    AdamwKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(88);
        this.copyingArguments = gpu.arguments(96);
        this.alone = byMoments(gpu, ALONE);
        this.copying = byMoments(gpu, COPYING);
    }

    private static LoadedKernel[] byMoments(GpuContext gpu, KernelSpec base) {
        return new LoadedKernel[] {new LoadedKernel(gpu, base.with("MOMENT_BF16", 0)), new LoadedKernel(gpu, base.with("MOMENT_BF16", 1))};
    }

    static List<KernelSpec> specs() {
        return List.of(ALONE.with("MOMENT_BF16", 0), ALONE.with("MOMENT_BF16", 1), COPYING.with("MOMENT_BF16", 0),
            COPYING.with("MOMENT_BF16", 1));
    }

    /** Settings of a step; see {@code Ops.adamW}. */
    record Step(float learningRate, float beta1, float beta2, float eps, float weightDecay, int number, float gradientScale) {
    }

    /** @param copy BF16, or null for none */
    void launch(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, Step step) {
        if (weights.size() == 0) {
            return;
        }
        float correction1 = (float) (1 / (1 - Math.pow(step.beta1, step.number)));
        float correction2 = (float) (1 / (1 - Math.pow(step.beta2, step.number)));
        int threads = Tiling.threads(weights.size(), PER_THREAD);
        LoadedKernel kernel = (copy == null ? alone : copying)[first.dtype() == DType.BF16 ? 1 : 0];
        Arguments struct = (copy == null ? arguments : copyingArguments).begin().address(weights).address(gradients).address(first)
            .address(second).integer64(weights.size()).real(step.gradientScale).real(step.beta1).real(1 - step.beta1).real(step.beta2)
            .real(1 - step.beta2).real(correction1).real(correction2).real(step.eps).real(step.learningRate)
            .real(1 - step.learningRate * step.weightDecay).integer(step.number);
        if (copy != null) {
            struct.address(copy);
        }
        gpu.stream().launch(kernel.get(), Tiling.tiles(weights.size(), threads, PER_THREAD), 1, 1, threads, 1, 0, struct.end());
    }
}

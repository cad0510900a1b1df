package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Tensor;

/** Launches {@code adamw.cu}. */
final class AdamwKernel {
    private static final KernelSpec SPEC = KernelSpec.of("adamw.cu", "adamw");
    private static final int PER_THREAD = 4;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel kernel;

    AdamwKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(80);
        this.kernel = new LoadedKernel(gpu, SPEC);
    }

    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    void launch(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps,
                float weightDecay, int step, float gradientScale) {
        if (weights.size() == 0) {
            return;
        }
        float correction1 = (float) (1 / (1 - Math.pow(beta1, step)));
        float correction2 = (float) (1 / (1 - Math.pow(beta2, step)));
        int threads = Tiling.threads(weights.size(), PER_THREAD);
        gpu.stream().launch(kernel.get(), Tiling.tiles(weights.size(), threads, PER_THREAD), 1, 1, threads, 1, 0, arguments.begin()
            .address(weights).address(gradients).address(first).address(second).integer64(weights.size()).real(gradientScale).real(beta1)
            .real(1 - beta1).real(beta2).real(1 - beta2).real(correction1).real(correction2).real(eps).real(learningRate)
            .real(1 - learningRate * weightDecay).end());
    }
}

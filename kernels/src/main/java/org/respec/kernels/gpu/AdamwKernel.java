package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code adamw.cu}. */
final class AdamwKernel {
    private static final KernelSpec F32 = KernelSpec.of("adamw.cu", "adamw").with("MOMENT_BF16", 0);
    private static final KernelSpec BF16 = F32.with("MOMENT_BF16", 1);
    private static final int PER_THREAD = 4;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel f32;
    private final LoadedKernel bf16;

    AdamwKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(88);
        this.f32 = new LoadedKernel(gpu, F32);
        this.bf16 = new LoadedKernel(gpu, BF16);
    }

    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps,
                float weightDecay, int step, float gradientScale) {
        if (weights.size() == 0) {
            return;
        }
        float correction1 = (float) (1 / (1 - Math.pow(beta1, step)));
        float correction2 = (float) (1 / (1 - Math.pow(beta2, step)));
        int threads = Tiling.threads(weights.size(), PER_THREAD);
        LoadedKernel kernel = first.dtype() == DType.BF16 ? bf16 : f32;
        gpu.stream().launch(kernel.get(), Tiling.tiles(weights.size(), threads, PER_THREAD), 1, 1, threads, 1, 0, arguments.begin()
            .address(weights).address(gradients).address(first).address(second).integer64(weights.size()).real(gradientScale).real(beta1)
            .real(1 - beta1).real(beta2).real(1 - beta2).real(correction1).real(correction2).real(eps).real(learningRate)
            .real(1 - learningRate * weightDecay).integer(step).end());
    }
}

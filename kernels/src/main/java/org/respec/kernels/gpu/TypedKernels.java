package org.respec.kernels.gpu;

import java.util.List;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.kernels.DType;

/** The four specialisations of a kernel by two storage types, each F32 or BF16: that of activations and one more. */
final class TypedKernels {
    private final LoadedKernel[] kernels;

    /** @param second the definition that is 1 where the second type is BF16; the first one's is {@code BF16} */
    TypedKernels(GpuContext gpu, KernelSpec base, String second) {
        kernels = LoadedKernel.of(gpu, specs(base, second));
    }

    static List<KernelSpec> specs(KernelSpec base, String second) {
        KernelSpec f32 = base.with("BF16", 0);
        KernelSpec bf16 = base.with("BF16", 1);
        return List.of(f32.with(second, 0), f32.with(second, 1), bf16.with(second, 0), bf16.with(second, 1));
    }

    GpuKernel get(DType first, DType second) {
        return kernels[(first == DType.BF16 ? 2 : 0) + (second == DType.BF16 ? 1 : 0)].get();
    }
}

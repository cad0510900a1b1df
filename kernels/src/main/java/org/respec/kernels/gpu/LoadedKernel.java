package org.respec.kernels.gpu;

import java.util.List;
import org.respec.bindings.gpu.GpuKernel;

/** One specialisation, compiled and loaded the first time it is launched, and found again without a look-up. */
final class LoadedKernel {
    private final GpuContext gpu;
    private final KernelSpec spec;
    private GpuKernel kernel;

    LoadedKernel(GpuContext gpu, KernelSpec spec) {
        this.gpu = gpu;
        this.spec = spec;
    }

    /** One for each specialisation, in their order. */
    static LoadedKernel[] of(GpuContext gpu, List<KernelSpec> specs) {
        return specs.stream().map(spec -> new LoadedKernel(gpu, spec)).toArray(LoadedKernel[]::new);
    }

    GpuKernel get() {
        if (kernel == null) {
            kernel = gpu.kernel(spec);
        }
        return kernel;
    }
}

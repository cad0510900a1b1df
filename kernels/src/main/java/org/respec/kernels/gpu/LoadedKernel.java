package org.respec.kernels.gpu;

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

    GpuKernel get() {
        if (kernel == null) {
            kernel = gpu.kernel(spec);
        }
        return kernel;
    }
}

package org.respec.kernels.gpu;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuKernel;

/** What operators on the same device have together: its driver, and the kernels compiled and loaded so far. For any thread. */
final class GpuShare {
    private final GpuDriver driver;
    private final Map<KernelSpec, GpuKernel> kernels = new HashMap<>();
    private int users = 1;

    /** For one user so far. */
    GpuShare(GpuDriver driver) {
        this.driver = driver;
    }

    GpuDriver driver() {
        return driver;
    }

    /** The kernel, compiled and loaded the first time anybody asks for it. */
    synchronized GpuKernel kernel(KernelSpec spec) {
        GpuKernel kernel = kernels.get(spec);
        if (kernel == null) {
            kernel = driver.load(driver.compile(KernelSources.of(spec))).kernel(spec.entry());
            kernels.put(spec, kernel);
        }
        return kernel;
    }

    /** Kernels loaded so far. */
    synchronized Set<KernelSpec> loaded() {
        return Set.copyOf(kernels.keySet());
    }

    /** One more user. */
    synchronized void join() {
        users++;
    }

    /** One user less; the last one closes the driver. */
    synchronized void leave() {
        if (--users == 0) {
            driver.close();
        }
    }
}

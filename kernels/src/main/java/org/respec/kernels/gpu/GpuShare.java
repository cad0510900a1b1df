package org.respec.kernels.gpu;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.KernelImage;

/**
 * What operators on the same device have together: its driver, and the kernels compiled and loaded so far. For any thread. Whoever wants a
 * kernel that is loaded never waits for the compilation of another one, which takes seconds.
 */
final class GpuShare {
    private final GpuDriver driver;
    private final Map<KernelSpec, Loading> kernels = new ConcurrentHashMap<>();
    private final AtomicLong changes = new AtomicLong();
    private int users = 1;

    /** For one user so far. */
    GpuShare(GpuDriver driver) {
        this.driver = driver;
    }

    /** A kernel that is loaded or will be; whoever loads it holds its lock. */
    private static final class Loading {
        private volatile GpuKernel kernel;
    }

    GpuDriver driver() {
        return driver;
    }

    /**
     * The kernel, compiled and loaded the first time anybody asks for it; others who ask meanwhile wait. One that did not compile is tried
     * again when it is asked for again.
     *
     * @throws IllegalStateException if it is not loaded yet and nobody uses the device any more
     */
    GpuKernel kernel(KernelSpec spec) {
        Loading loading = kernels.get(spec);
        if (loading == null) {
            loading = kernels.computeIfAbsent(spec, any -> new Loading());
        }
        GpuKernel kernel = loading.kernel;
        return kernel != null ? kernel : load(spec, loading);
    }

    private GpuKernel load(KernelSpec spec, Loading loading) {
        synchronized (loading) {
            if (loading.kernel == null) {
                // As a user, so that nobody closes the driver meanwhile.
                join();
                try {
                    KernelImage image = driver.compile(KernelSources.of(spec));
                    changed();
                    loading.kernel = driver.load(image).kernel(spec.entry());
                } finally {
                    changed();
                    leave();
                }
            }
            return loading.kernel;
        }
    }

    /** Before and after memory is taken of the device, so that whoever measures free memory meanwhile knows of it. */
    void changed() {
        changes.incrementAndGet();
    }

    /** Another number if somebody has called {@link #changed} in between. */
    long changes() {
        return changes.get();
    }

    /** Kernels loaded so far. */
    Set<KernelSpec> loaded() {
        return kernels.entrySet().stream().filter(each -> each.getValue().kernel != null).map(Map.Entry::getKey)
            .collect(Collectors.toUnmodifiableSet());
    }

    /** One more user. */
    synchronized void join() {
        if (users == 0) {
            throw new IllegalStateException("the device is closed");
        }
        users++;
    }

    /** One user less; the last one closes the driver. */
    synchronized void leave() {
        if (--users == 0) {
            driver.close();
        }
    }
}

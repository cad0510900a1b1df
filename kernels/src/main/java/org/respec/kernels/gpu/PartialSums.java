package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuMemory;

/** Device memory for what a first kernel leaves to a second one. Grows to the largest size asked for; the driver frees it. */
final class PartialSums {
    private final GpuContext gpu;
    private GpuMemory memory;

    PartialSums(GpuContext gpu) {
        this.gpu = gpu;
    }

    /** At least so many bytes; what they hold is undefined. */
    GpuMemory bytes(long bytes) {
        if (memory == null || memory.bytes() < bytes) {
            if (memory != null) {
                memory.close();
                memory = null;
            }
            memory = gpu.allocate(bytes);
        }
        return memory;
    }
}

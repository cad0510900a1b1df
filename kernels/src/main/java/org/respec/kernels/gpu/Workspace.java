package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuMemory;

/**
 * Device memory between the blocks of a launch, zero-filled when it is made and as large as the largest launch so far. What it has
 * outgrown lives on until the driver is closed, because captured graphs hold its address. It grows by an allocation, so a launch that is
 * captured must have run before at that size.
 */
final class Workspace {
    private final GpuContext gpu;
    private GpuMemory memory;

    Workspace(GpuContext gpu) {
        this.gpu = gpu;
    }

    /** Address of at least {@code count * size} bytes. */
    long address(long count, long size) {
        long bytes = Math.multiplyExact(count, size);
        if (memory == null || memory.bytes() < bytes) {
            // Twice the need, so that slowly growing batches do not leave many outgrown pieces behind.
            memory = gpu.allocate(Math.max(4096, Math.multiplyExact(2, bytes)));
        }
        return memory.address();
    }
}

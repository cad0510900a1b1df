package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.kernels.Storage;

/** Bytes in device memory, owned by a {@link GpuArena}. */
record GpuStorage(GpuMemory memory, String owner, long bytes) implements Storage {
    @Override
    public MemorySegment host() {
        throw new IllegalStateException("a tensor of arena " + owner + " is on the device; read it through a mirror");
    }

    @Override
    public long address() {
        if (!memory.isAlive()) {
            throw new IllegalStateException("arena " + owner + " is closed");
        }
        return memory.address();
    }
}

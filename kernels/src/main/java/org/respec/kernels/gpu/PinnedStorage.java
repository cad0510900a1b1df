package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import org.respec.bindings.gpu.PinnedMemory;
import org.respec.kernels.Storage;

/** Bytes in page-locked host memory, owned by a {@link GpuArena}: the host side of a mirror. */
record PinnedStorage(PinnedMemory memory, String owner, long bytes) implements Storage {
    @Override
    public MemorySegment host() {
        if (!memory.isAlive()) {
            throw new IllegalStateException("arena " + owner + " is closed");
        }
        return memory.segment().asSlice(0, bytes);
    }

    @Override
    public long address() {
        return host().address();
    }
}

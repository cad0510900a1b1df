package org.respec.kernels.cpu;

import java.lang.foreign.MemorySegment;
import org.respec.bindings.memory.HostArena;
import org.respec.kernels.Storage;

/** Bytes in host memory, owned by a {@link HostArena}. */
public final class HostStorage implements Storage {
    private final HostArena owner;
    private final MemorySegment segment;

    /** Takes {@code bytes} zeros of the owner. */
    public HostStorage(HostArena owner, long bytes) {
        this.owner = owner;
        this.segment = owner.allocate(bytes);
    }

    @Override
    public long bytes() {
        return segment.byteSize();
    }

    @Override
    public MemorySegment host() {
        checkAlive();
        return segment;
    }

    @Override
    public long address() {
        checkAlive();
        return segment.address();
    }

    private void checkAlive() {
        if (!owner.isAlive()) {
            throw new IllegalStateException("arena " + owner.name() + " is closed");
        }
    }
}

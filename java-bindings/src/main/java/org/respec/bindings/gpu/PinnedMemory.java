package org.respec.bindings.gpu;

import java.lang.foreign.MemorySegment;

/** A piece of page-locked host memory with one owner. Access after close is an {@link IllegalStateException}. */
public interface PinnedMemory extends AutoCloseable {
    /** The memory, for the host to read and write. */
    MemorySegment segment();

    /** False from {@link #close} on. */
    boolean isAlive();

    /** Frees the memory once the device is done with what was asked of it; a second call does nothing. */
    @Override
    void close();
}

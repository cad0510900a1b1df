package org.respec.bindings.gpu;

/** A piece of device memory with one owner. Use after close is an {@link IllegalStateException}. */
public interface GpuMemory extends AutoCloseable {
    /** Device address of the first byte. */
    long address();

    /** Its size. */
    long bytes();

    /** False from {@link #close} on. */
    boolean isAlive();

    /** Frees the memory once the device is done with what was asked of it; a second call does nothing. */
    @Override
    void close();
}

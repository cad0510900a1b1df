package org.respec.bindings.gpu;

import java.lang.foreign.MemorySegment;

/**
 * Work for the device, in order. Everything but {@link #synchronize} returns at once. Host memory that is copied from or to must
 * stay as it is until the stream has come so far.
 */
public interface GpuStream extends AutoCloseable {
    /** Copies {@code bytes} of host memory (off-heap) from {@code from} on. Ranges are checked. */
    void copyIn(MemorySegment from, long fromOffset, GpuMemory to, long toOffset, long bytes);

    /** Copies device memory to off-heap host memory. */
    void copyOut(GpuMemory from, long fromOffset, MemorySegment to, long toOffset, long bytes);

    /** Copies between places on the device that do not overlap. */
    void copy(GpuMemory from, long fromOffset, GpuMemory to, long toOffset, long bytes);

    /** Sets {@code count} 32-bit words. */
    void fill(GpuMemory to, long toOffset, int word, long count);

    /**
     * Starts a kernel.
     *
     * @param sharedBytes dynamic shared memory; over 48 KiB the opt-in is made for the caller
     * @param arguments the kernel's one argument, a packed struct in off-heap memory; read before this returns
     */
    void launch(GpuKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes, MemorySegment arguments);

    /** Marks this point of the stream. */
    void record(GpuEvent event);

    /** What comes next in this stream waits for {@code event}. */
    void await(GpuEvent event);

    /** Waits on the host until everything so far is done; throws what a kernel did wrong. */
    void synchronize();

    /** Kernels, matrix products and graphs launched in it so far. */
    long launches();

    /** How often the host has waited for all of it so far. */
    long waits();

    /** From here on work is not run but kept for a graph. */
    void beginCapture();

    /** The work since {@link #beginCapture}. */
    GpuGraph endCapture();

    @Override
    void close();
}

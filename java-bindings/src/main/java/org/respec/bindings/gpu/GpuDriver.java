package org.respec.bindings.gpu;

/**
 * A GPU at the level of the CUDA driver API: memory, streams, modules, graphs. Implementations: {@code jcuda} drives an NVIDIA GPU,
 * {@code emulator} runs the same kernels on the host. Threads may share a driver, and modules and memory that it made; a stream, and what
 * works in it, is for one thread at a time, and a capture ends in the thread that it began in. What is freed waits for every stream, and
 * for captures of other threads to end. {@link #close} is for the last thread.
 *
 * <p>Whatever goes wrong is a {@link GpuException}. After an error of a kernel the device's context is dead, and every later call
 * says so; on an NVIDIA GPU so does opening another driver in the same process, which must end.
 */
public interface GpuDriver extends AutoCloseable {
    /** What the device is and can do. */
    GpuDevice device();

    /**
     * Device memory, zero-filled, aligned to 256 bytes.
     *
     * @throws GpuException if there is not so much left, saying how much there is
     */
    GpuMemory allocate(long bytes);

    /** Host memory, zero-filled, that copies to and from the device without staging. */
    PinnedMemory allocatePinned(long bytes);

    /** A stream: work in it runs in order, streams run side by side. */
    GpuStream stream();

    /** A stream whose work goes before that of others where both are ready to run. */
    GpuStream urgentStream();

    /** A marker to record in streams, with a time stamp. */
    GpuEvent event();

    /** Compiles source for this device, or takes an earlier result from the cache on disk. */
    KernelImage compile(KernelSource source);

    /** Loads compiled kernels. */
    GpuModule load(KernelImage image);

    /** Matrix products in a stream. */
    GpuBlas blas(GpuStream stream);

    /** Bytes of device memory that each {@link #blas} takes for itself. */
    long blasBytes();

    /** Bytes of device memory that an allocation of {@code bytes} takes. */
    default long allocationBytes(long bytes) {
        return Math.ceilDiv(Math.max(1, bytes), 256L) * 256;
    }

    /** Bytes of device memory that can still be allocated. */
    long freeBytes();

    /** Frees everything that was made by this driver; a second call does nothing. */
    @Override
    void close();
}

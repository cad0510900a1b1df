package org.respec.kernels;

import java.lang.foreign.MemorySegment;

/** The bytes under one or more tensors, on the host or on a device. Owned by the {@link TensorArena} that made it. */
public interface Storage {
    /** Size in bytes. */
    long bytes();

    /**
     * The bytes as a host segment.
     *
     * @throws IllegalStateException if they are on a device, or if the owning arena is closed
     */
    MemorySegment host();

    /**
     * The first byte's address: a host pointer or a device pointer.
     *
     * @throws IllegalStateException if the owning arena is closed
     */
    long address();
}

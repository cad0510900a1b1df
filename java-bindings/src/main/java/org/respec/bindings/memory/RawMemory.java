package org.respec.bindings.memory;

import java.lang.foreign.MemorySegment;

/**
 * All of the address space as one segment, for inner loops that index by absolute address. Those loops make no checks of their
 * own: an operator checks every tensor's life and range once, at its entry, before it takes addresses.
 */
public final class RawMemory {
    /** Offset in this segment = address. Constant, so the JIT drops its bounds checks. */
    public static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

    private RawMemory() {
    }

    /** Copies {@code bytes} bytes; the ranges may overlap. */
    public static void copy(long from, long to, long bytes) {
        MemorySegment.copy(ALL, from, ALL, to, bytes);
    }
}

package org.respec.bindings.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Owner of off-heap memory: zero-filled segments that live until {@link #close}. Any thread may use them; use after close is an
 * {@link IllegalStateException}.
 */
public final class HostArena implements AutoCloseable {
    /** Alignment of every allocation: a cache line, and a full AVX-512 register. */
    public static final long ALIGNMENT = 64;

    private final Arena arena = Arena.ofShared();
    private final AtomicLong bytes = new AtomicLong();
    private final String name;

    /** @param name what it is for; messages say it */
    public HostArena(String name) {
        this.name = name;
    }

    public String name() {
        return name;
    }

    /** A zero-filled segment of {@code size} bytes. */
    public MemorySegment allocate(long size) {
        if (size < 0) {
            throw new IllegalArgumentException("arena " + name + ": size " + size);
        }
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException("arena " + name + " is closed");
        }
        MemorySegment segment = arena.allocate(Math.max(size, ALIGNMENT), ALIGNMENT).asSlice(0, size);
        bytes.addAndGet(size);
        return segment;
    }

    /** Bytes allocated so far. */
    public long bytes() {
        return bytes.get();
    }

    /** False from {@link #close} on. */
    public boolean isAlive() {
        return arena.scope().isAlive();
    }

    /** Frees everything; a second call does nothing. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}

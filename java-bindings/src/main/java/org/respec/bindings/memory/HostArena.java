package org.respec.bindings.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Owner of off-heap memory: zero-filled segments that live until {@link #close}, in large pages where they come to much. Any thread may
 * use them; use after close is an {@link IllegalStateException}.
 */
public final class HostArena implements AutoCloseable {
    /** Alignment of every allocation: a cache line, and a full AVX-512 register. */
    public static final long ALIGNMENT = 64;

    /** An arena that holds less has no use for large pages. */
    private static final long SMALL = 256 << 10;

    private final Arena arena = Arena.ofShared();
    private final AtomicLong bytes = new AtomicLong();
    private final String name;
    /** What is left of the last large pages. */
    private MemorySegment rest = MemorySegment.NULL;

    /** @param name what it is for; messages say it */
    public HostArena(String name) {
        this.name = name;
    }

    /** What it is for. */
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
        long aligned = Math.addExact(Math.max(size, 1), ALIGNMENT - 1) & -ALIGNMENT;
        long before = bytes.getAndAdd(size);
        MemorySegment segment = before + size < SMALL ? arena.allocate(aligned, ALIGNMENT) : ofLargePages(aligned);
        return segment.asSlice(0, size);
    }

    private synchronized MemorySegment ofLargePages(long size) {
        if (size <= rest.byteSize()) {
            MemorySegment segment = rest.asSlice(0, size);
            rest = rest.asSlice(size);
            return segment;
        }
        MemorySegment pages = HugePages.map(Math.ceilDiv(size, HugePages.SIZE) * HugePages.SIZE, arena);
        if (pages.byteSize() - size > rest.byteSize()) {
            rest = pages.asSlice(size);
        }
        return pages.asSlice(0, size);
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

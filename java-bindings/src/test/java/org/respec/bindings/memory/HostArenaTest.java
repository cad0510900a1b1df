package org.respec.bindings.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class HostArenaTest {
    /** Sizes from none to several large pages, in any order: zero-filled, aligned, apart from each other, gone when the arena is closed. */
    @Test
    void segmentsAreZeroAlignedAndApart() {
        SplittableRandom random = new SplittableRandom(5);
        List<MemorySegment> segments = new ArrayList<>();
        HostArena arena = new HostArena("test");
        long bytes = 0;
        for (int i = 0; i < 300; i++) {
            long size = random.nextInt(8) == 0 ? random.nextLong(5 << 20) : random.nextLong(40_000);
            size = i % 50 == 0 ? 0 : i % 50 == 1 ? HugePages.SIZE : size;
            MemorySegment segment = arena.allocate(size);
            assertEquals(size, segment.byteSize());
            assertEquals(0, segment.address() % HostArena.ALIGNMENT);
            assertEquals(-1, segment.mismatch(MemorySegment.ofArray(new byte[(int) size])), "zero-filled: segment " + i);
            segment.fill((byte) i);
            segments.add(segment);
            bytes += size;
        }
        assertEquals(bytes, arena.bytes());
        for (int i = 0; i < segments.size(); i++) {
            MemorySegment segment = segments.get(i);
            for (long at = 0; at < segment.byteSize(); at++) {
                assertEquals((byte) i, segment.get(ValueLayout.JAVA_BYTE, at), "segment " + i);
            }
            assertThrows(IndexOutOfBoundsException.class, () -> segment.get(ValueLayout.JAVA_BYTE, segment.byteSize()));
        }
        arena.close();
        assertTrue(!arena.isAlive());
        assertThrows(IllegalStateException.class, () -> segments.getLast().get(ValueLayout.JAVA_BYTE, 0));
        assertThrows(IllegalStateException.class, () -> arena.allocate(1));
        arena.close();
    }

    @Test
    void sizesThatCannotBeAreRefused() {
        try (HostArena arena = new HostArena("test")) {
            assertThrows(IllegalArgumentException.class, () -> arena.allocate(-1));
            assertThrows(OutOfMemoryError.class, () -> arena.allocate(1L << 60));
            assertThrows(ArithmeticException.class, () -> arena.allocate(Long.MAX_VALUE));
        }
    }
}

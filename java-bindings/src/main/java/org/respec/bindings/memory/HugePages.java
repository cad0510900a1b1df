package org.respec.bindings.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Zero-filled memory that asks the system for pages of 2 MB. Of pages of 4 KB, which the system takes from anywhere, some models happen
 * to get many that share the same lines of a core's cache, and run slower for as long as they live.
 */
final class HugePages {
    static final long SIZE = 2L << 20;
    private static final int READ_WRITE = 3;
    private static final int PRIVATE_ANONYMOUS = 0x22;
    private static final long FAILED = -1;
    private static final int MADV_HUGEPAGE = 14;

    private static final MethodHandle MMAP = handle("mmap", FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG,
        ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    private static final MethodHandle MUNMAP = handle("munmap",
        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
    private static final MethodHandle MADVISE = handle("madvise",
        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));

    private HugePages() {
    }

    private static MethodHandle handle(String name, FunctionDescriptor type) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
    }

    /**
     * Memory that lives as long as {@code arena}.
     *
     * @param bytes a multiple of {@link #SIZE}
     * @throws OutOfMemoryError if the system has none
     */
    static MemorySegment map(long bytes, Arena arena) {
        // The system aligns to small pages only.
        long length = Math.addExact(bytes, SIZE);
        try {
            long start = (long) MMAP.invokeExact(0L, length, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
            if (start == FAILED) {
                throw new OutOfMemoryError("the system has no " + bytes + " bytes of memory to map");
            }
            long aligned = (start + SIZE - 1) & -SIZE;
            // Only advice: a system that does not take it gives small pages.
            int ignored = (int) MADVISE.invokeExact(aligned, bytes, MADV_HUGEPAGE);
            return MemorySegment.ofAddress(aligned).reinterpret(bytes, arena, segment -> unmap(start, length));
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void unmap(long start, long length) {
        try {
            int ignored = (int) MUNMAP.invokeExact(start, length);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}

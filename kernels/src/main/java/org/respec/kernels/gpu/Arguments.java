package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.bindings.memory.HostArena;
import org.respec.kernels.Tensor;

/**
 * A kernel's one argument: a struct whose fields are written in order, each at its natural alignment, as the C compiler lays it out.
 * One instance per kernel, written anew for every launch; nothing is allocated.
 */
final class Arguments {
    private final MemorySegment struct;
    private long at;

    /** @param bytes {@code sizeof} of the struct, rounded up to 8 */
    Arguments(HostArena arena, int bytes) {
        this.struct = arena.allocate(bytes);
    }

    Arguments begin() {
        at = 0;
        return this;
    }

    Arguments address(long value) {
        at = (at + 7) & ~7L;
        struct.set(ValueLayout.JAVA_LONG, at, value);
        at += 8;
        return this;
    }

    /** The tensor's first element. */
    Arguments address(Tensor tensor) {
        return address(tensor.address());
    }

    Arguments integer64(long value) {
        return address(value);
    }

    Arguments integer(int value) {
        struct.set(ValueLayout.JAVA_INT, at, value);
        at += 4;
        return this;
    }

    Arguments real(float value) {
        struct.set(ValueLayout.JAVA_FLOAT, at, value);
        at += 4;
        return this;
    }

    /** The struct, whole. */
    MemorySegment end() {
        if (((at + 7) & ~7L) != struct.byteSize()) {
            throw new IllegalStateException("an argument struct of " + struct.byteSize() + " bytes was given " + at);
        }
        return struct;
    }
}

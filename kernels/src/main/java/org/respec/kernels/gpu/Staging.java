package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.PinnedMemory;

/**
 * Page-locked memory that host data is copied through on its way to the device, so that a caller may change the data at once although
 * the stream reads it later. Two halves take turns: one is filled again when the stream has passed what was last read from it.
 * Allocates nothing after construction.
 */
final class Staging implements AutoCloseable {
    private static final int ALIGNMENT = 64;

    private final GpuStream stream;
    private final long half;
    private final PinnedMemory memory;
    private final GpuEvent[] passed;
    private final boolean[] used = new boolean[2];
    private int current;
    private long at;

    /** @param half bytes of each half; what is larger is copied directly and waited for */
    Staging(GpuDriver driver, GpuStream stream, long half) {
        this.stream = stream;
        this.half = half;
        memory = driver.allocatePinned(Math.multiplyExact(2, half));
        passed = new GpuEvent[] {driver.event(), driver.event()};
    }

    /** Copies {@code bytes} to the device, in stream order; {@code from} may change when this returns. */
    void copyIn(MemorySegment from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
        if (bytes > half) {
            stream.copyIn(from, fromOffset, to, toOffset, bytes);
            stream.synchronize();
            return;
        }
        if (at + bytes > half) {
            stream.record(passed[current]);
            used[current] = true;
            current ^= 1;
            at = 0;
            if (used[current]) {
                passed[current].synchronize();
            }
        }
        long place = current * half + at;
        MemorySegment.copy(from, fromOffset, memory.segment(), place, bytes);
        stream.copyIn(memory.segment(), place, to, toOffset, bytes);
        at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    @Override
    public void close() {
        passed[0].close();
        passed[1].close();
        memory.close();
    }
}

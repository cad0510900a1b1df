package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.PinnedMemory;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;

/** On a device that copies as late as it may, what was pushed is what the host's side held at the time. */
class StagingTest {
    private static DelayingDriver driver() {
        return DelayingDriver.late(new CopyingDriver());
    }

    @Test
    void theHostMayChangeWhatItPushed() {
        try (Ops ops = new GpuOps(driver()); TensorArena arena = ops.arena("test")) {
            HostMirror first = arena.mirror(DType.I32, 1, 8);
            HostMirror second = arena.mirror(DType.I32, 1, 8);
            first.host().host().setAtIndex(ValueLayout.JAVA_INT, 3, 11);
            ops.push(first, 8);
            first.host().host().setAtIndex(ValueLayout.JAVA_INT, 3, 22);
            second.host().host().setAtIndex(ValueLayout.JAVA_INT, 7, 33);
            ops.push(second, 7);
            second.host().host().setAtIndex(ValueLayout.JAVA_INT, 0, 44);
            ops.pull(first, 8);
            ops.pull(second, 8);
            assertEquals(11, first.host().host().getAtIndex(ValueLayout.JAVA_INT, 3));
            assertEquals(0, second.host().host().getAtIndex(ValueLayout.JAVA_INT, 7), "only seven elements were pushed");
            assertEquals(0, second.host().host().getAtIndex(ValueLayout.JAVA_INT, 0));
        }
    }

    /** What was asked for without waiting is there after the next wait, and pulls of several mirrors wait once. */
    @Test
    void severalPullsWaitOnce() {
        try (Ops ops = new GpuOps(driver()); TensorArena arena = ops.arena("test")) {
            HostMirror first = arena.mirror(DType.I32, 1, 8);
            HostMirror second = arena.mirror(DType.I32, 1, 8);
            first.host().host().setAtIndex(ValueLayout.JAVA_INT, 1, 11);
            second.host().host().setAtIndex(ValueLayout.JAVA_INT, 1, 22);
            ops.push(first, 8);
            ops.push(second, 8);
            first.host().host().fill((byte) 0);
            second.host().host().fill((byte) 0);
            ops.startPull(first, 8);
            assertEquals(0, first.host().host().getAtIndex(ValueLayout.JAVA_INT, 1), "nobody has waited");
            ops.pull(second, 8);
            assertEquals(11, first.host().host().getAtIndex(ValueLayout.JAVA_INT, 1));
            assertEquals(22, second.host().host().getAtIndex(ValueLayout.JAVA_INT, 1));
        }
    }

    /** Mirrors of one block go in one transfer, each to its own place. */
    @Test
    void blocksGoWhole() {
        try (Ops ops = new GpuOps(driver()); TensorArena arena = ops.arena("test")) {
            MirrorBlock block = new MirrorBlock(arena, 2 * MirrorBlock.bytes(DType.I32, 1, 3) + MirrorBlock.bytes(DType.I64, 2, 5));
            HostMirror first = block.mirror(DType.I32, 1, 3);
            HostMirror wide = block.mirror(DType.I64, 2, 5);
            HostMirror last = block.mirror(DType.I32, 1, 3);
            assertThrows(IllegalArgumentException.class, () -> block.mirror(DType.F32, 1, 1));
            first.host().host().setAtIndex(ValueLayout.JAVA_INT, 2, 1);
            wide.host().host().setAtIndex(ValueLayout.JAVA_LONG, 9, -2);
            last.host().host().setAtIndex(ValueLayout.JAVA_INT, 0, 3);
            HostMirror tail = block.range(wide, last);
            assertThrows(IllegalArgumentException.class, () -> block.range(last, first));
            ops.push(tail, tail.host().size());
            first.host().host().fill((byte) 0);
            wide.host().host().fill((byte) 0);
            last.host().host().fill((byte) 0);
            ops.pull(first, 3);
            ops.pull(wide, 10);
            ops.pull(last, 3);
            assertEquals(0, first.host().host().getAtIndex(ValueLayout.JAVA_INT, 2), "it was not in the range");
            assertEquals(-2, wide.host().host().getAtIndex(ValueLayout.JAVA_LONG, 9));
            assertEquals(3, last.host().host().getAtIndex(ValueLayout.JAVA_INT, 0));
        }
    }

    /** Thousands of copies of random sizes through a buffer of two kilobytes, larger ones past it, none lost, none mixed up. */
    @Test
    void halvesTakeTurns() {
        long seed = 7;
        SplittableRandom random = new SplittableRandom(seed);
        DelayingDriver driver = driver();
        try (driver; GpuStream stream = driver.stream(); Staging staging = new Staging(driver, stream, 1024)) {
            int bytes = 4096;
            GpuMemory device = driver.allocate(bytes);
            PinnedMemory back = driver.allocatePinned(bytes);
            PinnedMemory source = driver.allocatePinned(bytes);
            byte[] want = new byte[bytes];
            for (int i = 0; i < 3000; i++) {
                int size = random.nextInt(100) == 0 ? random.nextInt(1, bytes) : random.nextInt(0, 400);
                int to = random.nextInt(bytes - size + 1);
                int from = random.nextInt(bytes - size + 1);
                for (int b = 0; b < size; b++) {
                    want[to + b] = (byte) random.nextInt();
                    source.segment().set(ValueLayout.JAVA_BYTE, from + b, want[to + b]);
                }
                staging.copyIn(source.segment(), from, device, to, size);
                source.segment().fill((byte) 0x55);
                if (i % 97 == 0) {
                    stream.copyOut(device, 0, back.segment(), 0, bytes);
                    stream.synchronize();
                    for (int b = 0; b < bytes; b++) {
                        assertEquals(want[b], back.segment().get(ValueLayout.JAVA_BYTE, b),
                            "byte " + b + " after copy " + i + ", seed " + seed);
                    }
                }
            }
            assertTrue(driver.waits() > 100, "the halves are meant to be used up: " + driver.waits());
        }
    }
}

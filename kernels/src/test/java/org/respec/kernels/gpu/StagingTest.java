package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.PinnedMemory;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;

/** On a device that copies as late as it may, what was pushed is what the host's side held at the time. */
class StagingTest {
    @Test
    void theHostMayChangeWhatItPushed() {
        try (Ops ops = new GpuOps(new LateDriver()); TensorArena arena = ops.arena("test")) {
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

    /** Thousands of copies of random sizes through a buffer of two kilobytes, larger ones past it, none lost, none mixed up. */
    @Test
    void halvesTakeTurns() {
        long seed = 7;
        SplittableRandom random = new SplittableRandom(seed);
        LateDriver driver = new LateDriver();
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
                        assertEquals(want[b], back.segment().get(ValueLayout.JAVA_BYTE, b), "byte " + b + " after copy " + i + ", seed " + seed);
                    }
                }
            }
            assertTrue(driver.waits() > 100, "the halves are meant to be used up: " + driver.waits());
        }
    }
}

package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Moments that pass through a few small places in three streams, each of which may work early or late: events alone keep them in order. */
class HostMomentsTest {
    private static final int PIECE = 64;
    private static final int SIZE = 6 * PIECE + 7;
    private static final int SEEDS = 40;

    private static EmulatorDriver open() {
        try {
            return EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false).withMemoryBytes(64 << 20));
        } catch (GpuException e) {
            return abort(e.getMessage());
        }
    }

    @Test
    void everyScheduleGivesTheBitsOfMomentsOnTheDevice() {
        for (long seed = 0; seed < SEEDS; seed++) {
            try (GpuOps ops = new GpuOps(DelayingDriver.drawn(open(), seed))) {
                compare(ops, seed);
            }
        }
    }

    /** What a memory plan counts for it is what it takes, once. */
    @Test
    void itTakesWhatItSays() {
        try (GpuOps ops = new GpuOps(open()); TensorArena arena = ops.arena("test")) {
            Tensor weights = arena.allocate(DType.F32, 1, SIZE);
            Tensor gradients = arena.allocate(DType.F32, 1, SIZE);
            Tensor first = arena.pinned(DType.F32, 1, SIZE);
            Tensor second = arena.pinned(DType.F32, 1, SIZE);
            long free = ops.freeBytes();
            for (int number = 1; number <= 2; number++) {
                ops.adamW(weights, gradients, first, second, 0.1f, 0.9f, 0.95f, 1e-8f, 0.1f, number, 1f);
            }
            ops.synchronize();
            assertEquals(ops.ownMemory().hostMoments(), free - ops.freeBytes());
        }
    }

    private static void compare(GpuOps ops, long seed) {
        try (TensorArena arena = ops.arena("test");
             HostMoments hostMoments = new HostMoments(ops.context(), new AdamwKernel(ops.context()), PIECE)) {
            HostMirror[] weights = {arena.mirror(DType.F32, 1, SIZE), arena.mirror(DType.F32, 1, SIZE)};
            HostMirror gradients = arena.mirror(DType.F32, 1, SIZE);
            SplittableRandom random = new SplittableRandom(seed);
            for (int i = 0; i < SIZE; i++) {
                float weight = (float) random.nextDouble(-1, 1);
                weights[0].host().host().setAtIndex(ValueLayout.JAVA_FLOAT, i, weight);
                weights[1].host().host().setAtIndex(ValueLayout.JAVA_FLOAT, i, weight);
                gradients.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextDouble(-1, 1));
            }
            ops.push(weights[0], SIZE);
            ops.push(weights[1], SIZE);
            ops.push(gradients, SIZE);
            HostMirror[] want = {arena.mirror(DType.F32, 1, SIZE), arena.mirror(DType.F32, 1, SIZE)};
            Tensor[] got = {arena.pinned(DType.F32, 1, SIZE), arena.pinned(DType.F32, 1, SIZE)};
            for (int number = 1; number <= 4; number++) {
                ops.adamW(weights[0].device(), gradients.device(), want[0].device(), want[1].device(), 0.1f, 0.9f, 0.95f, 1e-8f, 0.1f,
                    number, 0.5f);
                hostMoments.launch(weights[1].device(), null, gradients.device(), got[0], got[1],
                    new AdamwKernel.Step(0.1f, 0.9f, 0.95f, 1e-8f, 0.1f, number, 0.5f));
            }
            ops.pull(weights[0], SIZE);
            ops.pull(weights[1], SIZE);
            requireSame("weights", weights[0].host().host(), weights[1].host().host(), seed);
            for (int i = 0; i < 2; i++) {
                ops.pull(want[i], SIZE);
                requireSame("moments", want[i].host().host(), got[i].host(), seed);
            }
        }
    }

    private static void requireSame(String what, MemorySegment want, MemorySegment got, long seed) {
        assertEquals(-1, want.mismatch(got), what + " differ with seed " + seed);
    }
}

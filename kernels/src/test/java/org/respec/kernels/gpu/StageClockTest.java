package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.DType;
import org.respec.kernels.StageClock;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** What a stage takes is the device's time, on a device that does its work long after it was asked. */
class StageClockTest {
    private static final int ROWS = 64;
    private static final int WIDTH = 4096;

    private static GpuOps open() {
        try {
            return new GpuOps(DelayingDriver.late(EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false))));
        } catch (GpuException e) {
            return abort(e.getMessage());
        }
    }

    @Test
    void aStageTakesWhatItsWorkTakes() {
        try (GpuOps ops = open(); TensorArena arena = ops.arena("test"); StageClock first = ops.stageClock();
             StageClock second = ops.stageClock()) {
            Tensor x = arena.allocate(DType.F32, ROWS, WIDTH);
            ops.fill(x, 1);
            ops.synchronize();
            first.begin();
            ops.fill(x, 2);
            first.end();
            second.begin();
            second.end();
            long asked = System.nanoTime();
            ops.synchronize();
            long done = System.nanoTime();
            assertTrue(2 * first.nanos() > done - asked && first.nanos() <= done - asked, () -> first.nanos() + " of " + (done - asked));
            assertTrue(first.nanos() > second.nanos(), () -> first.nanos() + " and for nothing " + second.nanos());
        }
    }
}

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
    private static final int WAITS = 20;

    private static GpuOps open() {
        try {
            return new GpuOps(DelayingDriver.late(EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false))));
        } catch (GpuException e) {
            return abort(e.getMessage());
        }
    }

    /** On a machine that others stall the rest of the wait may take longer than the work: one wait of some must have been the work's. */
    @Test
    void aStageTakesWhatItsWorkTakes() {
        try (GpuOps ops = open(); TensorArena arena = ops.arena("test"); StageClock first = ops.stageClock();
             StageClock second = ops.stageClock()) {
            Tensor x = arena.allocate(DType.F32, ROWS, WIDTH);
            ops.fill(x, 1);
            ops.synchronize();
            StringBuilder seen = new StringBuilder();
            boolean most = false;
            for (int i = 0; i < WAITS && !most; i++) {
                first.begin();
                ops.fill(x, 2);
                first.end();
                second.begin();
                second.end();
                long asked = System.nanoTime();
                ops.synchronize();
                long waited = System.nanoTime() - asked;
                assertTrue(first.nanos() <= waited, first.nanos() + " of " + waited);
                most = 2 * first.nanos() > waited && first.nanos() > second.nanos();
                seen.append(' ').append(first.nanos()).append(" and for nothing ").append(second.nanos()).append(" of ").append(waited);
            }
            assertTrue(most, seen.toString());
        }
    }
}

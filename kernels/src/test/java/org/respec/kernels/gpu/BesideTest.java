package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.abort;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Operators for a second thread on the same device: each gets its own bits and its own faults, and the last closes the device. */
class BesideTest {
    private static final int ROWS = 17;
    private static final int WIDTH = 64;

    private static GpuOps open() {
        try {
            return new GpuOps(EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false)));
        } catch (GpuException e) {
            return abort(e.getMessage());
        }
    }

    /** Norms, products, sums over rows through a workspace, and copies both ways, many times over. */
    private static List<Double> compute(Ops ops, long seed) {
        List<Double> results = new ArrayList<>();
        try (TensorArena arena = ops.arena("test " + seed)) {
            HostMirror x = arena.mirror(DType.F32, ROWS, WIDTH);
            Tensor dX = arena.allocate(DType.F32, ROWS, WIDTH);
            HostMirror weight = arena.mirror(DType.F32, 1, WIDTH);
            HostMirror gradient = arena.mirror(DType.F32, 1, WIDTH);
            HostMirror product = arena.mirror(DType.F32, WIDTH, WIDTH);
            for (int turn = 0; turn < 20; turn++) {
                for (int i = 0; i < ROWS * WIDTH; i++) {
                    x.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, i, NoiseField.bits(seed, turn, i) * 0x1p-63f);
                }
                weight.host().host().fill((byte) 0x3f);
                ops.push(x, ROWS * WIDTH);
                ops.push(weight, WIDTH);
                ops.linearBackwardWeight(x.device(), x.device(), product.device(), ROWS);
                ops.rmsNormBackward(x.device(), weight.device(), 1e-6f, x.device(), dX, false, gradient.device(), ROWS);
                ops.pull(gradient, WIDTH);
                ops.pull(product, WIDTH * WIDTH);
                results.add((double) gradient.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, turn));
                results.add((double) product.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, 7 * turn));
                results.add(ops.squaredNorm(dX));
            }
        }
        return results;
    }

    @Test
    void twoThreadsGetTheBitsOfOne() throws InterruptedException, ExecutionException {
        try (GpuOps run = open(); Ops learner = Backends.beside(run, 1)) {
            List<Double> first = compute(run, 1);
            List<Double> second = compute(run, 2);
            FutureTask<List<Double>> beside = new FutureTask<>(() -> compute(learner, 2));
            Thread.ofPlatform().start(beside);
            assertEquals(first, compute(run, 1));
            assertEquals(second, beside.get());
        }
    }

    @Test
    void faultsAreToldToWhoMadeThem() {
        try (GpuOps run = open(); Ops learner = run.beside(); TensorArena arena = run.arena("test")) {
            HostMirror tokens = arena.mirror(DType.I32, 1, 1);
            tokens.host().host().set(ValueLayout.JAVA_INT, 0, 99);
            run.push(tokens, 1);
            run.synchronize();
            learner.embedding(arena.allocate(DType.F32, 4, 8), tokens.device(), arena.allocate(DType.F32, 1, 8), 1);
            run.synchronize();
            assertThrows(IllegalArgumentException.class, learner::synchronize);
            learner.synchronize();
        }
    }

    @Test
    void theLastClosesTheDevice() {
        GpuOps run = open();
        EmulatorDriver driver = (EmulatorDriver) run.driver();
        Ops learner = run.beside();
        run.close();
        assertEquals(compute(learner, 3), compute(learner, 3));
        learner.close();
        assertThrows(IllegalStateException.class, driver::freeBytes);
    }
}

package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;

/**
 * Once compiled, products allocate nothing, so no vector is boxed, although the JVM has counted vectors of other widths in the methods
 * of the Vector API that they share.
 */
class VectorAllocationTest {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final long PATIENCE = 30_000_000_000L;
    private static final int MOST_ROWS = 12;
    /** Wide enough for a row's loop to be compiled within few calls, when little is known of what follows it. */
    /** The first two are small enough to be taken by two panels at a time. */
    private static final int[][] SHAPES = {{128, 256}, {384, 128}, {384, 1024}, {1024, 384}, {384, 2048}};

    @Test
    void products() {
        try (Ops ops = new CpuOps(1); TestTensors t = new TestTensors(11)) {
            Tensor v = t.normal(2, 1024);
            for (int i = 0; i < 2000; i++) {
                Simd.axpy(1e-6f, v.rows(0, 1).address(), v.rows(1, 2).address(), 1024);
            }
            for (int[] shape : SHAPES) {
                Tensor x = t.normal(MOST_ROWS, shape[0]);
                Tensor y = t.normal(MOST_ROWS, shape[1]);
                PackedMatrix packed = ops.pack(t.arena(), t.normal(shape[1], shape[0]));
                for (int rows = 1; rows <= MOST_ROWS; rows++) {
                    int count = rows;
                    assertAllocatesNothing(() -> {
                        ops.linear(x, packed, y, false, count);
                        ops.linear(x, packed, y, true, count);
                    }, rows + " rows by " + shape[0] + " to " + shape[1]);
                }
            }
        }
    }

    @Test
    void attention() {
        int keys = 64;
        int dim = 64;
        try (TestTensors t = new TestTensors(12)) {
            Tensor rows = t.normal(keys + KeyProducts.KEYS, dim);
            long[] addresses = new long[keys + KeyProducts.KEYS];
            for (int i = 0; i < addresses.length; i++) {
                addresses[i] = rows.rows(i, i + 1).address();
            }
            float[] scores = new float[addresses.length + KeyProducts.KEYS];
            float[] weights = new float[addresses.length];
            Tensor out = t.normal(1, dim);
            assertAllocatesNothing(() -> {
                float most = KeyProducts.scores(addresses[0], addresses, 0, dim, keys, 0.125f, Float.NEGATIVE_INFINITY, scores);
                float sum = FastMath.expAndSum(scores, keys, most, weights);
                KeyProducts.mix(weights, addresses, 0, dim, keys, 1 / sum, out.address());
                Simd.axpy(Simd.dot(out.address(), addresses[1], dim), addresses[1], out.address(), dim);
            }, "attention");
        }
    }

    @Test
    void noise() {
        int vocab = 1021;
        int[] words = new int[1024];
        float[] out = new float[1024];
        assertAllocatesNothing(() -> NoiseField.fill(1, 2, 3, vocab, words, out), "noise");
    }

    @Test
    void gates() {
        try (Ops ops = new CpuOps(1); TestTensors t = new TestTensors(13)) {
            Tensor gateUp = t.normal(3, 2 * 391);
            Tensor out = t.normal(3, 391);
            Tensor gradient = t.normal(3, 2 * 391);
            assertAllocatesNothing(() -> ops.swiglu(gateUp, out, 3), "SwiGLU");
            assertAllocatesNothing(() -> ops.swigluBackward(gateUp, out, gradient, 3), "SwiGLU's gradient");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {64, 40})
    void attentionGradients(int dim) {
        AttentionShape shape = new AttentionShape(4, 2, dim);
        int rows = 75;
        try (TestTensors t = new TestTensors(14)) {
            Tensor[] steps = {t.normal(rows, shape.fusedWidth()), t.normal(rows, shape.fusedWidth())};
            Tensor[] gradients = {t.normal(rows, shape.fusedWidth()), t.normal(rows, shape.fusedWidth())};
            ChainGradients.Pass pass = new ChainGradients.Pass(shape, steps, gradients, 1, t.normal(rows, shape.queryWidth()),
                0.125f);
            ChainGradients chain = new ChainGradients();
            assertAllocatesNothing(() -> {
                chain.add(pass, 0, 70, 0);
                chain.add(pass, 70, rows, 1);
            }, "attention's gradient, heads of " + dim);
        }
    }

    /** Some calls are the JIT's to compile in; after them, none may allocate. */
    private static void assertAllocatesNothing(Runnable call, String what) {
        long deadline = System.nanoTime() + PATIENCE;
        int clean = 0;
        long allocated;
        do {
            long before = THREADS.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 100; i++) {
                call.run();
            }
            allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
            clean = allocated == 0 ? clean + 1 : 0;
        } while (clean < 3 && System.nanoTime() < deadline);
        assertEquals(0, allocated, "bytes allocated by 100 calls, " + what);
    }
}

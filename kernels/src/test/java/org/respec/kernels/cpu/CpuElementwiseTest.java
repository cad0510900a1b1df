package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Storage;
import org.respec.kernels.Tensor;

/** The edges of the row by row operators: empty batches, results over arguments, far arguments, and rows that stay their own. */
class CpuElementwiseTest {
    private static final float EPS = 1e-6f;
    private static final Ops OPS = SharedOps.on(2);

    /** Cosines and sines of nothing in particular: rotations, whatever the angles. */
    private static Tensor rotations(TestTensors t, int positions, int headDim) {
        Tensor table = t.poisoned(positions, headDim, 3);
        for (int i = 0; i < positions * headDim / 2; i++) {
            double angle = t.random().nextDouble(-3, 3);
            int at = i % (headDim / 2);
            TestTensors.set(table, i / (headDim / 2), at, (float) Math.cos(angle));
            TestTensors.set(table, i / (headDim / 2), headDim / 2 + at, (float) Math.sin(angle));
        }
        return table;
    }

    private static void assertPoisoned(Tensor tensor) {
        for (float v : TestTensors.floats(tensor)) {
            assertEquals(TestTensors.POISON, Float.floatToRawIntBits(v));
        }
    }

    @Test
    void fillSetsEveryElementAndNoGap() {
        try (TestTensors t = new TestTensors(101)) {
            for (int rows : new int[] {1, 2, 7}) {
                for (int cols : new int[] {1, 7, 8, 9, 41}) {
                    Tensor x = t.poisoned(rows, cols, 5);
                    OPS.fill(x, -2.5f);
                    for (float v : TestTensors.floats(x)) {
                        assertEquals(-2.5f, v, "seed 101");
                    }
                }
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.fill(t.ints(1, 2), 0f));
            t.checkGuards();
        }
    }

    @Test
    void copyTakesRowsOfEveryTypeAndStride() {
        try (TestTensors t = new TestTensors(102)) {
            for (DType dtype : DType.values()) {
                for (int gap : new int[] {0, 3}) {
                    Storage from = t.arena().allocate(dtype, 1, 9 * 16).storage();
                    Storage to = t.arena().allocate(dtype, 1, 9 * 16).storage();
                    Tensor src = new Tensor(dtype, 9, 13, 13, 2, from);
                    Tensor dst = new Tensor(dtype, 9, 13, 13 + gap, 1, to);
                    for (long b = 0; b < from.bytes(); b++) {
                        from.host().set(ValueLayout.JAVA_BYTE, b, (byte) t.random().nextInt());
                        to.host().set(ValueLayout.JAVA_BYTE, b, (byte) t.random().nextInt());
                    }
                    byte[] want = to.host().toArray(ValueLayout.JAVA_BYTE);
                    for (int r = 0; r < 5; r++) {
                        MemorySegment.copy(from.host(), ValueLayout.JAVA_BYTE, (2L + 13 * r) * dtype.bytes(), want,
                            (1 + (13 + gap) * r) * dtype.bytes(), 13 * dtype.bytes());
                    }
                    OPS.copy(src, dst, 5);
                    assertEquals(-1, MemorySegment.ofArray(want).mismatch(to.host()), dtype + ", gap " + gap + ", seed 102");
                }
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.copy(t.poisoned(2, 3), t.poisoned(2, 4), 1));
            assertThrows(IllegalArgumentException.class, () -> OPS.copy(t.poisoned(2, 3), t.poisonedInts(2, 3), 1));
            assertThrows(IllegalArgumentException.class, () -> OPS.copy(t.poisoned(2, 3), t.poisoned(3, 3), 3));
            t.checkGuards();
        }
    }

    /** Ascending order is what lets a cache be moved down over itself, and what repeats a row that is moved up. */
    @Test
    void rowsAreCopiedInAscendingOrder() {
        try (TestTensors t = new TestTensors(103)) {
            Tensor x = t.normal(6, 9, 2, 1);
            Tensor down = t.copy(x);
            OPS.copyRows(down, t.ints(1, 3, 5), down, t.ints(0, 1, 2), 3);
            Tensor up = t.copy(x);
            OPS.copyRows(up, t.ints(0, 1, 2), up, t.ints(1, 2, 3), 3);
            for (int i = 0; i < 3; i++) {
                t.assertSameBits(x.rows(2 * i + 1, 2 * i + 2), down.rows(i, i + 1));
                t.assertSameBits(x.rows(0, 1), up.rows(i + 1, i + 2));
            }
            t.assertSameBits(x.rows(3, 6), down.rows(3, 6));
            Tensor gathered = t.poisoned(6, 9);
            OPS.copyRows(x, t.ints(5, 0, 5), gathered, null, 3);
            t.assertSameBits(x.rows(5, 6), gathered.rows(2, 3));
            assertPoisoned(gathered.rows(3, 6));
            Tensor scattered = t.poisoned(6, 9);
            OPS.copyRows(x, null, scattered, t.ints(4, 2), 2);
            t.assertSameBits(x.rows(0, 1), scattered.rows(4, 5));
            t.assertSameBits(x.rows(1, 2), scattered.rows(2, 3));
            assertThrows(IllegalArgumentException.class, () -> OPS.copyRows(x, null, scattered, null, 7));
            t.checkGuards();
        }
    }

    /** Where the documentation lets the result replace the argument, it has the bits that it has elsewhere. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 41, 130})
    void resultsMayReplaceArguments(int rows) {
        try (TestTensors t = new TestTensors(104 + rows)) {
            Tensor x = t.normal(rows, 41, 3, 2);
            Tensor weight = t.normal(1, 41);
            Tensor apart = t.poisoned(rows, 41);
            OPS.rmsNorm(x, weight, EPS, apart, rows);
            OPS.rmsNorm(x, weight, EPS, x, rows);
            t.assertSameBits(apart, x);

            AttentionShape shape = new AttentionShape(4, 2, 34);
            Tensor qkv = t.normal(rows, shape.fusedWidth(), 1, 2);
            Tensor qWeight = t.normal(1, 34);
            Tensor kWeight = t.normal(1, 34);
            Tensor positions = t.randomInts(rows, 20);
            Tensor rope = rotations(t, 20, 34);
            Tensor out = t.poisoned(rows, shape.fusedWidth());
            OPS.qkNormRope(qkv, shape, qWeight, kWeight, EPS, positions, 0, rope, out, rows);
            OPS.qkNormRope(qkv, shape, qWeight, kWeight, EPS, positions, 0, rope, qkv, rows);
            t.assertSameBits(out, qkv);
            t.checkGuards();
        }
    }

    /** The bits of a row are the same alone, at any place among others, on any number of threads. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void bitsOfARowAreItsOwn(int threads) {
        int most = 151;
        AttentionShape shape = new AttentionShape(4, 2, 34);
        Ops one = SharedOps.on(1);
        Ops many = SharedOps.on(threads);
        try (TestTensors t = new TestTensors(105)) {
            Tensor x = t.normal(most, 2 * 205);
            Tensor weight = t.normal(1, 2 * 205);
            Tensor qkv = t.normal(most, shape.fusedWidth());
            Tensor qWeight = t.normal(1, 34);
            Tensor kWeight = t.normal(1, 34);
            Tensor positions = t.randomInts(most, 20);
            Tensor rope = rotations(t, 25, 34);
            List<Tensor> alone = List.of(t.poisoned(most, 410), t.poisoned(most, 205), t.poisoned(most, shape.fusedWidth()));
            for (int r = 0; r < most; r++) {
                one.rmsNorm(x.rows(r, r + 1), weight, EPS, alone.get(0).rows(r, r + 1), 1);
                one.swiglu(x.rows(r, r + 1), alone.get(1).rows(r, r + 1), 1);
                one.qkNormRope(qkv.rows(r, r + 1), shape, qWeight, kWeight, EPS, positions.columns(r, r + 1), 5, rope,
                    alone.get(2).rows(r, r + 1), 1);
            }
            for (int rows : new int[] {2, 7, 65, 151}) {
                int from = (most - rows) / 2;
                int to = from + rows;
                List<Tensor> together = List.of(t.poisoned(rows, 410), t.poisoned(rows, 205), t.poisoned(rows, shape.fusedWidth()));
                many.rmsNorm(x.rows(from, to), weight, EPS, together.get(0), rows);
                many.swiglu(x.rows(from, to), together.get(1), rows);
                many.qkNormRope(qkv.rows(from, to), shape, qWeight, kWeight, EPS, positions.columns(from, to), 5, rope, together.get(2),
                    rows);
                for (int i = 0; i < 3; i++) {
                    t.assertSameBits(alone.get(i).rows(from, to), together.get(i));
                }
            }
            t.checkGuards();
        }
    }

    /** Arguments at which a careless sigmoid overflows, and rows at which a careless norm divides by nothing. */
    @Test
    void farArguments() {
        float[] gates = {0f, -0f, 1e-30f, 20f, -20f, 87f, -87f, 88.8f, -88.8f, 89f, -89f, 1e4f, -1e4f, 1e30f, -1e30f, 3f, -3f};
        int n = gates.length;
        try (TestTensors t = new TestTensors(106); Closeness close = new Closeness("swiglu of far arguments", 106)) {
            Tensor gateUp = t.poisoned(1, 2 * n);
            Tensor dOut = t.poisoned(1, n);
            double[] want = new double[n];
            double[] wantGradient = new double[2 * n];
            for (int i = 0; i < n; i++) {
                double sigmoid = 1 / (1 + Math.exp(-(double) gates[i]));
                double silu = gates[i] * sigmoid;
                TestTensors.set(gateUp, 0, i, gates[i]);
                TestTensors.set(gateUp, 0, n + i, 1.5f);
                TestTensors.set(dOut, 0, i, -0.75f);
                want[i] = silu * 1.5;
                wantGradient[i] = -0.75 * 1.5 * (sigmoid + silu * (1 - sigmoid));
                wantGradient[n + i] = -0.75 * silu;
            }
            Tensor out = t.poisoned(1, n);
            Tensor gradient = t.poisoned(1, 2 * n);
            OPS.swiglu(gateUp, out, 1);
            OPS.swigluBackward(gateUp, dOut, gradient, 1);
            close.check(want, out, 1e-6, 1e-30);
            close.check(wantGradient, gradient, 1e-6, 1e-7);

            Tensor x = t.poisoned(3, 11);
            Tensor weight = t.normal(1, 11);
            Tensor normed = t.poisoned(3, 11);
            OPS.fill(x.rows(0, 1), 0f);
            OPS.fill(x.rows(1, 2), 1e-12f);
            OPS.fill(x.rows(2, 3), 1e15f);
            OPS.rmsNorm(x, weight, EPS, normed, 3);
            double[] norms = new double[33];
            for (int i = 0; i < 33; i++) {
                double v = TestTensors.get(x, i / 11, 0);
                norms[i] = v / Math.sqrt(v * v + EPS) * TestTensors.get(weight, 0, i % 11);
            }
            close.check(norms, normed, 1e-6, 1e-15);
            t.checkGuards();
        }
    }

    /** A step without rows is legal everywhere and leaves poisoned outputs poisoned, and gradients as they were. */
    @Test
    void emptyBatchesTouchNothing() {
        AttentionShape shape = new AttentionShape(2, 1, 4);
        int width = shape.fusedWidth();
        try (TestTensors t = new TestTensors(107)) {
            Tensor in = t.normal(2, width);
            Tensor weight = t.normal(1, width);
            Tensor head = t.normal(1, 4);
            Tensor square = t.normal(width, width);
            Tensor rope = rotations(t, 4, 4);
            Tensor none = t.arena().allocate(DType.I32, 1, 0);
            Tensor out = t.poisoned(2, width);
            Tensor half = t.poisoned(2, width / 2);
            OPS.add(in, out, 0);
            OPS.copy(in, out, 0);
            OPS.copyRows(in, none, out, none, 0);
            OPS.embedding(square, none, out, 0);
            OPS.rmsNorm(in, weight, EPS, out, 0);
            OPS.swiglu(in, half, 0);
            OPS.linear(in, OPS.pack(t.arena(), square), out, true, 0);
            OPS.qkNormRope(in, shape, head, head, EPS, none, 0, rope, out, 0);
            OPS.embeddingBackward(in, none, out, 0);
            OPS.rmsNormBackward(in, weight, EPS, in, out, false, out.rows(0, 1), 0);
            OPS.linearBackwardInput(in, square, out, false, 0);
            OPS.swigluBackward(in, t.normal(2, width / 2), out, 0);
            OPS.qkNormRopeBackward(in, shape, head, head, EPS, none, 0, rope, in, out, half.rows(0, 1).columns(0, 4),
                half.rows(1, 2).columns(0, 4), 0);
            assertPoisoned(out);
            assertPoisoned(half);
            Tensor dWeight = t.copy(square);
            OPS.linearBackwardWeight(in, in, dWeight, 0);
            t.assertSameBits(square, dWeight);
            t.checkGuards();
        }
    }

    @Test
    void tokensOutsideTheTableAreRefused() {
        try (TestTensors t = new TestTensors(108)) {
            Tensor table = t.normal(5, 9);
            Tensor out = t.poisoned(3, 9);
            for (int bad : new int[] {-1, 5, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
                assertThrows(IllegalArgumentException.class, () -> OPS.embedding(table, t.ints(0, 4, bad), out, 3));
                assertThrows(IllegalArgumentException.class, () -> OPS.embeddingBackward(table.rows(0, 3), t.ints(0, 4, bad), out, 3));
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.embedding(table, t.ints(0, 4), out, 3), "fewer tokens than rows");
            assertPoisoned(out);
            t.checkGuards();
        }
    }
}

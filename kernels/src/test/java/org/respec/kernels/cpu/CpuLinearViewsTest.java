package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;

/** Products over parts of larger buffers, beside broken rows, and after weights have changed. */
class CpuLinearViewsTest {
    private static final Ops OPS = SharedOps.on(2);

    private static double[] product(Tensor x, Tensor w, float[] start, int rows) {
        double[] y = new double[rows * w.rows()];
        for (int i = 0; i < y.length; i++) {
            int r = i / w.rows();
            int o = i % w.rows();
            double sum = start == null ? 0 : start[i];
            for (int k = 0; k < w.cols(); k++) {
                sum += (double) TestTensors.get(x, r, k) * TestTensors.get(w, o, k);
            }
            y[i] = sum;
        }
        return y;
    }

    /** Panels that are full, cut, single and paired, for every way that rows are cut into tiles. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5, 6, 7, 13, 41, 97})
    void oddShapesAgreeWithDoubles(int rows) {
        try (Closeness close = new Closeness("linear, " + rows + " rows", rows)) {
            for (int inputs : new int[] {1, 3, 40, 41}) {
                for (int outputs : new int[] {1, 5, 15, 17, 31, 33, 41, 49}) {
                    try (TestTensors t = new TestTensors(rows)) {
                        Tensor x = t.normal(rows, inputs, 1, 1);
                        Tensor w = t.normal(outputs, inputs, 2, 1);
                        Tensor y = t.normal(rows, outputs, 3, 1);
                        float[] start = TestTensors.floats(y);
                        PackedMatrix packed = OPS.pack(t.arena(), w);
                        OPS.linear(x, packed, y, true, rows);
                        double tolerance = 1e-6 * (1 + Math.sqrt(inputs));
                        close.check(product(x, w, start, rows), y, 1e-6, tolerance);
                        OPS.linear(x, packed, y, false, rows);
                        close.check(product(x, w, null, rows), y, 1e-6, tolerance);
                        t.checkGuards();
                    }
                }
            }
        }
    }

    /** Input and output beside each other in one buffer, as in fused activations; what lies around them is a NaN and stays one. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 53})
    void columnsOfOneBuffer(int rows) {
        try (TestTensors t = new TestTensors(60 + rows); Closeness close = new Closeness("linear in one buffer", 60 + rows)) {
            Tensor whole = t.poisoned(rows + 2, 100);
            Tensor x = whole.rows(1, rows + 1).columns(3, 44);
            Tensor y = whole.rows(1, rows + 1).columns(47, 64);
            Tensor values = t.normal(rows, 41);
            OPS.copy(values, x, rows);
            Tensor w = t.normal(17, 41);
            OPS.linear(x, OPS.pack(t.arena(), w), y, false, rows);
            close.check(product(values, w, null, rows), y, 1e-6, 1e-5);
            for (int r = 0; r < rows + 2; r++) {
                for (int c = 0; c < 100; c++) {
                    boolean live = r > 0 && r <= rows && (c >= 3 && c < 44 || c >= 47 && c < 64);
                    if (!live) {
                        assertEquals(TestTensors.POISON, Float.floatToRawIntBits(TestTensors.get(whole, r, c)), r + ", " + c);
                    }
                }
            }
            t.assertSameBits(values, x);
            t.checkGuards();
        }
    }

    @Test
    void rowsPastTheLiveOnesAreNeitherReadNorWritten() {
        try (TestTensors t = new TestTensors(71)) {
            PackedMatrix packed = OPS.pack(t.arena(), t.normal(33, 20));
            for (int rows = 0; rows <= 61; rows += rows < 14 ? 1 : 5) {
                Tensor x = t.poisoned(64, 20);
                Tensor y = t.poisoned(64, 33);
                OPS.copy(t.normal(rows, 20), x, rows);
                OPS.linear(x, packed, y, false, rows);
                for (int i = 0; i < 64 * 33; i++) {
                    boolean poisoned = Float.floatToRawIntBits(TestTensors.get(y, i / 33, i % 33)) == TestTensors.POISON;
                    assertEquals(i / 33 >= rows, poisoned, "row " + i / 33 + " of " + rows + ", seed 71");
                }
            }
            t.checkGuards();
        }
    }

    /** A row is its own even if the rows around it overflow or are not numbers. */
    @Test
    void brokenNeighboursDoNotLeak() {
        try (TestTensors t = new TestTensors(72)) {
            for (int rows : new int[] {2, 3, 5, 8, 13, 50}) {
                Tensor x = t.normal(rows, 41);
                PackedMatrix packed = OPS.pack(t.arena(), t.normal(49, 41));
                Tensor want = t.poisoned(rows, 49);
                OPS.linear(x, packed, want, false, rows);
                for (int r = 0; r < rows; r++) {
                    for (int c = 0; r % 2 == 1 && c < 41; c++) {
                        TestTensors.set(x, r, c, c % 2 == 0 ? Float.NaN : Float.POSITIVE_INFINITY);
                    }
                }
                Tensor got = t.poisoned(rows, 49);
                OPS.linear(x, packed, got, false, rows);
                for (int r = 0; r < rows; r += 2) {
                    t.assertSameBits(want.rows(r, r + 1), got.rows(r, r + 1));
                }
            }
            t.checkGuards();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void accumulatedBitsAreTheRowsOwn(int threads) {
        Ops one = SharedOps.on(1);
        Ops many = SharedOps.on(threads);
        try (TestTensors t = new TestTensors(73)) {
            for (int outputs : new int[] {1, 17, 80}) {
                Tensor x = t.normal(97, 65);
                Tensor w = t.normal(outputs, 65);
                Tensor start = t.normal(97, outputs);
                PackedMatrix packed = many.pack(t.arena(), w);
                Tensor alone = t.copy(start);
                for (int r = 0; r < 97; r++) {
                    one.linear(x.rows(r, r + 1), packed, alone.rows(r, r + 1), true, 1);
                }
                for (int rows : new int[] {2, 3, 5, 6, 7, 13, 41, 49, 97}) {
                    int first = 97 - rows;
                    Tensor together = t.copy(start);
                    many.linear(x.rows(first, 97), packed, together.rows(first, 97), true, rows);
                    t.assertSameBits(alone.rows(first, 97), together.rows(first, 97));
                    t.assertSameBits(start.rows(0, first), together.rows(0, first));
                }
            }
            t.checkGuards();
        }
    }

    @Test
    void repackedWeightsReplaceTheOldOnes() {
        try (TestTensors t = new TestTensors(74)) {
            Tensor x = t.normal(5, 41);
            PackedMatrix packed = OPS.pack(t.arena(), t.normal(37, 41));
            assertEquals(37, packed.outputs());
            assertEquals(41, packed.inputs());
            Tensor other = t.normal(37, 41, 9, 1);
            OPS.repack(other, packed);
            Tensor want = t.poisoned(5, 37);
            Tensor got = t.poisoned(5, 37);
            OPS.linear(x, OPS.pack(t.arena(), other), want, false, 5);
            OPS.linear(x, packed, got, false, 5);
            t.assertSameBits(want, got);
            assertThrows(IllegalArgumentException.class, () -> OPS.repack(t.normal(41, 37), packed));
            t.checkGuards();
        }
    }

    @Test
    void misfitsAreRefused() {
        try (TestTensors t = new TestTensors(75)) {
            Tensor x = t.normal(4, 8);
            Tensor y = t.poisoned(4, 5);
            PackedMatrix packed = OPS.pack(t.arena(), t.normal(5, 8));
            PackedMatrix square = OPS.pack(t.arena(), t.normal(8, 8));
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(x, packed, y, false, 5), "more rows than there are");
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(x, packed, y, false, -1));
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(y, packed, y, false, 4), "too few inputs");
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(x, packed, x, false, 4), "too many outputs");
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(x, square, x, false, 4), "in place");
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(x.rows(0, 2), square, x.rows(1, 3), false, 2), "overlapping");
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(t.ints(1, 2), packed, y, false, 1), "integers");
            PackedMatrix foreign = new PackedMatrix() {
                @Override
                public int outputs() {
                    return 5;
                }

                @Override
                public int inputs() {
                    return 8;
                }
            };
            assertThrows(IllegalArgumentException.class, () -> OPS.linear(x, foreign, y, false, 4));
            for (float v : TestTensors.floats(y)) {
                assertEquals(TestTensors.POISON, Float.floatToRawIntBits(v));
            }
            t.checkGuards();
        }
    }
}

package org.respec.kernels.cpu;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;

/** Products against double loops, and the property that speculation rests on: a row's bits are its own. */
class CpuLinearTest {
    private static final int[] SIZES = {1, 3, 16, 41, 128, 401};

    private static double[] product(Tensor x, Tensor w, float[] start, int rows) {
        double[] y = new double[rows * w.rows()];
        for (int r = 0; r < rows; r++) {
            for (int o = 0; o < w.rows(); o++) {
                double sum = start == null ? 0 : start[r * w.rows() + o];
                for (int k = 0; k < w.cols(); k++) {
                    sum += (double) TestTensors.get(x, r, k) * TestTensors.get(w, o, k);
                }
                y[r * w.rows() + o] = sum;
            }
        }
        return y;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5, 6, 7, 13, 41, 97})
    void agreesWithDoubles(int rows) {
        try (Ops ops = new CpuOps(2)) {
            for (int inputs : SIZES) {
                for (int outputs : SIZES) {
                    try (TestTensors t = new TestTensors(rows * 1000L + inputs + outputs)) {
                        Tensor x = t.normal(rows, inputs, 3, 1);
                        Tensor w = t.normal(outputs, inputs, 5, 1);
                        PackedMatrix packed = ops.pack(t.arena(), w);
                        Tensor y = t.poisoned(rows, outputs, 7);
                        ops.linear(x, packed, y, false, rows);
                        double tolerance = 2e-6 * (1 + Math.sqrt(inputs));
                        t.assertClose(product(x, w, null, rows), y, 1e-6, tolerance);
                        float[] start = TestTensors.floats(y);
                        ops.linear(x, packed, y, true, rows);
                        t.assertClose(product(x, w, start, rows), y, 1e-6, 2 * tolerance);
                        t.checkGuards();
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void bitsOfARowAreItsOwn(int threads) {
        // The last ones have weights that count as large.
        int[][] shapes = {{40, 17}, {128, 17}, {401, 17}, {40, 256}, {128, 256}, {401, 256}, {40, 401}, {128, 401}, {401, 401}, {701, 401}};
        int most = 97;
        try (Ops one = new CpuOps(1); Ops many = new CpuOps(threads)) {
            for (int[] shape : shapes) {
                int inputs = shape[0];
                int outputs = shape[1];
                try (TestTensors t = new TestTensors(inputs * 31L + outputs)) {
                    Tensor x = t.normal(most, inputs);
                    Tensor w = t.normal(outputs, inputs);
                    PackedMatrix packed = many.pack(t.arena(), w);
                    Tensor alone = t.poisoned(most, outputs);
                    for (int r = 0; r < most; r++) {
                        one.linear(x.rows(r, r + 1), packed, alone.rows(r, r + 1), false, 1);
                    }
                    for (int rows : new int[] {2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 25, 48, 49, 97}) {
                        Tensor together = t.poisoned(rows, outputs);
                        many.linear(x, packed, together, false, rows);
                        t.assertSameBits(alone.rows(0, rows), together);
                    }
                    t.checkGuards();
                }
            }
        }
    }
}

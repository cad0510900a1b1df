package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;

/**
 * Gradients against differences in double precision, over more rows than one partial sum takes, added to what is there, and with
 * the same bits on any number of threads.
 */
class CpuBackwardTest {
    private static final float EPS = 1e-6f;
    private static final Ops OPS = SharedOps.on(2);

    private static double[] widen(Tensor tensor) {
        float[] values = TestTensors.floats(tensor);
        double[] wide = new double[values.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = values[i];
        }
        return wide;
    }

    private static void addTo(double[] sum, int at, double[] part) {
        for (int i = 0; i < part.length; i++) {
            sum[at + i] += part[i];
        }
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    private static double[] norm(double[] x, double[] weight) {
        double scale = 1 / Math.sqrt(dot(x, x) / x.length + EPS);
        double[] out = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            out[i] = x[i] * scale * weight[i];
        }
        return out;
    }

    @ParameterizedTest
    @CsvSource({"1,1", "1,9", "2,41", "63,7", "64,8", "65,17", "130,41", "201,3"})
    void rmsNorm(int rows, int cols) {
        long seed = 1000L * rows + cols;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("rmsNormBackward " + rows + "x" + cols, seed)) {
            Tensor x = t.normal(rows, cols, 3, 1.5);
            Tensor weight = t.normal(1, cols);
            Tensor dOut = t.normal(rows, cols, 1, 1);
            Tensor dX = t.poisoned(rows, cols, 2);
            Tensor dWeight = t.normal(1, cols);
            double[] w = Differences.row(weight, 0);
            double[] wantX = new double[rows * cols];
            double[] wantWeight = widen(dWeight);
            for (int r = 0; r < rows; r++) {
                double[] at = Differences.row(x, r);
                double[] up = Differences.row(dOut, r);
                addTo(wantX, r * cols, Differences.gradient(at, v -> dot(norm(v, w), up)));
                addTo(wantWeight, 0, Differences.gradient(w, v -> dot(norm(at, v), up)));
            }
            OPS.rmsNormBackward(x, weight, EPS, dOut, dX, false, dWeight, rows);
            close.check(wantX, dX, 1e-5, 1e-5);
            close.check(wantWeight, dWeight, 1e-5, 1e-6 * (1 + Math.sqrt(rows)));

            Tensor more = t.normal(rows, cols);
            double[] wantMore = widen(more);
            addTo(wantMore, 0, wantX);
            OPS.rmsNormBackward(x, weight, EPS, dOut, more, true, t.normal(1, cols), rows);
            close.check(wantMore, more, 1e-5, 1e-5);
            OPS.rmsNormBackward(x, weight, EPS, dOut, dOut, false, t.normal(1, cols), rows);
            t.assertSameBits(dX, dOut);
            t.checkGuards();
        }
    }

    @ParameterizedTest
    @CsvSource({"1,1", "3,8", "65,41", "130,17"})
    void swiglu(int rows, int n) {
        long seed = 2000L * rows + n;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("swigluBackward " + rows + "x" + n, seed)) {
            Tensor gateUp = t.normal(rows, 2 * n, 1, 3);
            Tensor dOut = t.normal(rows, n, 2, 1);
            Tensor gradient = t.poisoned(rows, 2 * n, 3);
            double[] want = new double[rows * 2 * n];
            for (int r = 0; r < rows; r++) {
                for (int i = 0; i < n; i++) {
                    double up = TestTensors.get(dOut, r, i);
                    double[] at = {TestTensors.get(gateUp, r, i), TestTensors.get(gateUp, r, n + i)};
                    double[] slope = Differences.gradient(at, v -> up * v[0] / (1 + Math.exp(-v[0])) * v[1]);
                    want[r * 2 * n + i] = slope[0];
                    want[r * 2 * n + n + i] = slope[1];
                }
            }
            OPS.swigluBackward(gateUp, dOut, gradient, rows);
            close.check(want, gradient, 1e-5, 2e-6);
            OPS.swigluBackward(gateUp, dOut, gateUp, rows);
            t.assertSameBits(gradient, gateUp);
            t.checkGuards();
        }
    }

    /** One row of the rotary operator in doubles. */
    private static double[] rotate(double[] qkv, AttentionShape shape, double[] qWeight, double[] kWeight, double[] rope) {
        int dim = shape.headDim();
        int half = dim / 2;
        double[] out = qkv.clone();
        for (int h = 0; h < shape.heads() + shape.kvHeads(); h++) {
            double[] head = new double[dim];
            System.arraycopy(qkv, h * dim, head, 0, dim);
            double[] normed = norm(head, h < shape.heads() ? qWeight : kWeight);
            for (int i = 0; i < half; i++) {
                out[h * dim + i] = normed[i] * rope[i] - normed[i + half] * rope[half + i];
                out[h * dim + half + i] = normed[i + half] * rope[i] + normed[i] * rope[half + i];
            }
        }
        return out;
    }

    private static Tensor rotations(TestTensors t, int positions, int headDim) {
        Tensor table = t.poisoned(positions, headDim);
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < headDim / 2; i++) {
                double angle = p * Math.pow(100, -2.0 * i / headDim);
                TestTensors.set(table, p, i, (float) Math.cos(angle));
                TestTensors.set(table, p, headDim / 2 + i, (float) Math.sin(angle));
            }
        }
        return table;
    }

    @ParameterizedTest
    @CsvSource({"1,1,1,2", "65,4,2,6", "130,2,2,8", "7,4,1,18"})
    void qkNormRope(int rows, int heads, int kvHeads, int dim) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        int width = shape.fusedWidth();
        long seed = 3000L * rows + dim;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("qkNormRopeBackward " + rows + "x" + width, seed)) {
            Tensor qkv = t.normal(rows, width, 3, 1.5);
            Tensor qWeight = t.normal(1, dim);
            Tensor kWeight = t.normal(1, dim);
            Tensor positions = t.randomInts(rows, 30);
            Tensor rope = rotations(t, 33, dim);
            Tensor dOut = t.normal(rows, width, 1, 1);
            Tensor dQkv = t.poisoned(rows, width, 2);
            Tensor dQ = t.normal(1, dim);
            Tensor dK = t.normal(1, dim);
            double[] wq = Differences.row(qWeight, 0);
            double[] wk = Differences.row(kWeight, 0);
            double[] want = new double[rows * width];
            double[] wantQ = widen(dQ);
            double[] wantK = widen(dK);
            for (int r = 0; r < rows; r++) {
                double[] at = Differences.row(qkv, r);
                double[] up = Differences.row(dOut, r);
                double[] angles = Differences.row(rope, TestTensors.getInt(positions, 0, r) + 3);
                addTo(want, r * width, Differences.gradient(at, v -> dot(rotate(v, shape, wq, wk, angles), up)));
                addTo(wantQ, 0, Differences.gradient(wq, v -> dot(rotate(at, shape, v, wk, angles), up)));
                addTo(wantK, 0, Differences.gradient(wk, v -> dot(rotate(at, shape, wq, v, angles), up)));
            }
            Tensor spareQ = t.copy(dQ);
            Tensor spareK = t.copy(dK);
            OPS.qkNormRopeBackward(qkv, shape, qWeight, kWeight, EPS, positions, 3, rope, dOut, dQkv, dQ, dK, rows);
            close.check(want, dQkv, 1e-5, 2e-5);
            close.check(wantQ, dQ, 1e-5, 3e-6 * (1 + Math.sqrt(rows * heads)));
            close.check(wantK, dK, 1e-5, 3e-6 * (1 + Math.sqrt(rows * heads)));
            t.assertSameBits(dOut.columns(width - shape.kvWidth(), width), dQkv.columns(width - shape.kvWidth(), width));
            OPS.qkNormRopeBackward(qkv, shape, qWeight, kWeight, EPS, positions, 3, rope, dOut, dOut, spareQ, spareK, rows);
            t.assertSameBits(dQkv, dOut);
            t.assertSameBits(dQ, spareQ);
            t.assertSameBits(dK, spareK);
            t.checkGuards();
        }
    }

    /** Rows around the size of a block of dX and of a part, weights of one block, two and many; rows farther apart than they are long. */
    @ParameterizedTest
    @CsvSource({"1,1,1", "1,5,7", "2,64,9", "255,65,3", "256,1,41", "257,130,13", "256,385,2", "257,3,390", "1025,63,5", "5000,2,3",
        "520,2700,1"})
    void linear(int rows, int outputs, int inputs) {
        long seed = 4000L * rows + outputs;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("linear backward " + rows + "x" + outputs, seed)) {
            Tensor x = t.normal(rows, inputs, 3, 1);
            Tensor weight = t.normal(outputs, inputs, 2, 1);
            Tensor dY = t.normal(rows, outputs, 1, 1);
            Tensor dX = t.poisoned(rows, inputs, 4);
            Tensor more = t.normal(rows, inputs, 1, 1);
            Tensor dWeight = t.normal(outputs, inputs, 5, 1);
            double[] wantX = new double[rows * inputs];
            double[] wantMore = widen(more);
            double[] wantWeight = widen(dWeight);
            for (int r = 0; r < rows; r++) {
                for (int o = 0; o < outputs; o++) {
                    double up = TestTensors.get(dY, r, o);
                    for (int k = 0; k < inputs; k++) {
                        wantX[r * inputs + k] += up * TestTensors.get(weight, o, k);
                        wantMore[r * inputs + k] += up * TestTensors.get(weight, o, k);
                        wantWeight[o * inputs + k] += up * TestTensors.get(x, r, k);
                    }
                }
            }
            OPS.linearBackwardInput(dY, weight, dX, false, rows);
            OPS.linearBackwardInput(dY, weight, more, true, rows);
            OPS.linearBackwardWeight(dY, x, dWeight, rows);
            close.check(wantX, dX, 1e-5, 2e-6 * (1 + Math.sqrt(outputs)));
            close.check(wantMore, more, 1e-5, 2e-6 * (1 + Math.sqrt(outputs)));
            close.check(wantWeight, dWeight, 1e-5, 2e-6 * (1 + Math.sqrt(rows)));
            t.checkGuards();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 97})
    void embedding(int rows) {
        try (TestTensors t = new TestTensors(5000 + rows); Closeness close = new Closeness("embeddingBackward " + rows, 5000 + rows)) {
            Tensor tokens = t.randomInts(rows, 5);
            Tensor dOut = t.normal(rows, 13, 2, 1);
            Tensor dTable = t.normal(6, 13, 1, 1);
            Tensor before = t.copy(dTable);
            double[] want = widen(dTable);
            for (int r = 0; r < rows; r++) {
                addTo(want, 13 * TestTensors.getInt(tokens, 0, r), Differences.row(dOut, r));
            }
            OPS.embeddingBackward(dOut, tokens, dTable, rows);
            close.check(want, dTable, 1e-6, 1e-6 * (1 + Math.sqrt(rows)));
            t.assertSameBits(before.rows(5, 6), dTable.rows(5, 6));
            t.checkGuards();
        }
    }

    /** Every gradient that sums over rows, on one thread and on more. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void threadsDoNotChangeBits(int threads) {
        AttentionShape shape = new AttentionShape(4, 2, 10);
        int rows = 1201;
        int width = shape.fusedWidth();
        Ops one = SharedOps.on(1);
        Ops many = SharedOps.on(threads);
        try (TestTensors t = new TestTensors(6000)) {
            Tensor x = t.normal(rows, width);
            Tensor weight = t.normal(1, width);
            Tensor square = t.normal(width, width);
            Tensor dOut = t.normal(rows, width);
            Tensor head = t.normal(1, 10);
            Tensor positions = t.randomInts(rows, 20);
            Tensor rope = rotations(t, 20, 10);
            Function<Ops, List<Tensor>> run = on -> {
                List<Tensor> out = new ArrayList<>();
                for (int i = 0; i < 4; i++) {
                    out.add(t.poisoned(rows, width));
                }
                Tensor zeros = t.of(new float[3 * width], 3, width, 0);
                Tensor dSquare = t.of(new float[width * width], width, width, 0);
                out.add(zeros);
                out.add(dSquare);
                on.rmsNormBackward(x, weight, EPS, dOut, out.get(0), false, zeros.rows(0, 1), rows);
                on.qkNormRopeBackward(x, shape, head, head, EPS, positions, 0, rope, dOut, out.get(1), zeros.rows(1, 2).columns(0, 10),
                    zeros.rows(2, 3).columns(0, 10), rows);
                on.linearBackwardInput(dOut, square, out.get(2), false, rows);
                on.swigluBackward(x, dOut.columns(0, width / 2), out.get(3), rows);
                on.linearBackwardWeight(dOut, x, dSquare, rows);
                return out;
            };
            List<Tensor> want = run.apply(one);
            for (int trial = 0; trial < 3; trial++) {
                List<Tensor> got = run.apply(many);
                assertEquals(want.size(), got.size());
                for (int i = 0; i < want.size(); i++) {
                    t.assertSameBits(want.get(i), got.get(i));
                }
            }
            t.checkGuards();
        }
    }
}

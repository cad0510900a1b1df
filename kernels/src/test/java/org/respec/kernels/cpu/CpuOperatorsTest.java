package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Locale;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;

/** Elementwise, norm, rotary, loss and optimizer operators against double precision, and their gradients against differences. */
class CpuOperatorsTest {
    private static final float EPS = 1e-6f;
    private static final Ops OPS = SharedOps.on(2);

    // ---------------------------------------------------------------------------------------------------------- forward

    private static double[] norm(Tensor x, Tensor weight, int rows) {
        int cols = x.cols();
        double[] out = new double[rows * cols];
        for (int r = 0; r < rows; r++) {
            double squares = 0;
            for (int c = 0; c < cols; c++) {
                squares += Math.pow(TestTensors.get(x, r, c), 2);
            }
            double scale = 1 / Math.sqrt(squares / cols + EPS);
            for (int c = 0; c < cols; c++) {
                out[r * cols + c] = TestTensors.get(x, r, c) * scale * TestTensors.get(weight, 0, c);
            }
        }
        return out;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 41, 401})
    void rmsNorm(int rows) {
        for (int cols : new int[] {1, 7, 8, 41, 128, 1271}) {
            try (TestTensors t = new TestTensors(rows * 7L + cols)) {
                Tensor x = t.normal(rows, cols, 3, 2);
                Tensor weight = t.normal(1, cols);
                Tensor out = t.poisoned(rows, cols, 5);
                OPS.rmsNorm(x, weight, EPS, out, rows);
                t.assertClose(norm(x, weight, rows), out, 2e-6, 1e-7);
                t.checkGuards();
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 41, 401})
    void swiglu(int rows) {
        for (int n : new int[] {1, 7, 16, 41, 384}) {
            try (TestTensors t = new TestTensors(rows * 11L + n)) {
                Tensor gateUp = t.normal(rows, 2 * n, 3, 3);
                Tensor out = t.poisoned(rows, n, 1);
                OPS.swiglu(gateUp, out, rows);
                double[] want = new double[rows * n];
                for (int i = 0; i < want.length; i++) {
                    double g = TestTensors.get(gateUp, i / n, i % n);
                    want[i] = g / (1 + Math.exp(-g)) * TestTensors.get(gateUp, i / n, n + i % n);
                }
                t.assertClose(want, out, 2e-6, 1e-7);
                t.checkGuards();
            }
        }
    }

    @Test
    void copiesAndSums() {
        try (TestTensors t = new TestTensors(3)) {
            Tensor x = t.normal(9, 13, 2, 1);
            Tensor y = t.normal(9, 13, 4, 1);
            double[] sum = new double[5 * 13];
            for (int i = 0; i < sum.length; i++) {
                sum[i] = TestTensors.get(x, i / 13, i % 13) + TestTensors.get(y, i / 13, i % 13);
            }
            float[] rest = TestTensors.floats(y.rows(5, 9));
            OPS.add(x, y, 5);
            t.assertClose(sum, y.rows(0, 5), 1e-7, 0);
            assertArrayEquals(rest, TestTensors.floats(y.rows(5, 9)));
            Tensor to = t.normal(6, 13);
            float[] untouched = TestTensors.floats(to.rows(1, 2));
            OPS.copyRows(x, t.ints(8, 0, 3, 3), to, t.ints(0, 5, 2, 0), 4);
            assertArrayEquals(TestTensors.floats(x.rows(3, 4)), TestTensors.floats(to.rows(0, 1)), "the later copy wins");
            assertArrayEquals(TestTensors.floats(x.rows(0, 1)), TestTensors.floats(to.rows(5, 6)));
            assertArrayEquals(untouched, TestTensors.floats(to.rows(1, 2)));
            assertThrows(IllegalArgumentException.class, () -> OPS.copyRows(x, t.ints(9), to, t.ints(0), 1));
            assertThrows(IllegalArgumentException.class, () -> OPS.copyRows(x, t.ints(-1), to, t.ints(0), 1));
            assertThrows(IllegalArgumentException.class, () -> OPS.copyRows(x, t.ints(0), to, t.ints(6), 1));
            Tensor table = t.normal(11, 13);
            Tensor out = t.poisoned(4, 13);
            OPS.embedding(table, t.ints(10, 0, 10, 5), out, 4);
            assertArrayEquals(TestTensors.floats(table.rows(10, 11)), TestTensors.floats(out.rows(2, 3)));
            assertArrayEquals(TestTensors.floats(table.rows(5, 6)), TestTensors.floats(out.rows(3, 4)));
            assertThrows(IllegalArgumentException.class, () -> OPS.embedding(table, t.ints(11), out, 1));
            t.checkGuards();
        }
    }

    @Test
    void noRowsTouchNothing() {
        try (TestTensors t = new TestTensors(4)) {
            Tensor x = t.normal(3, 8);
            Tensor weight = t.normal(1, 8);
            Tensor out = t.poisoned(3, 8);
            OPS.rmsNorm(x, weight, EPS, out, 0);
            OPS.linear(x, OPS.pack(t.arena(), t.normal(8, 8)), out, false, 0);
            OPS.copyRows(x, null, out, null, 0);
            for (float v : TestTensors.floats(out)) {
                assertEquals(TestTensors.POISON, Float.floatToRawIntBits(v));
            }
            t.checkGuards();
        }
    }

    private static Tensor ropeTable(TestTensors t, int positions, int headDim) {
        Tensor table = t.poisoned(positions, headDim);
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < headDim / 2; i++) {
                double angle = p * Math.pow(10000, -2.0 * i / headDim);
                TestTensors.set(table, p, i, (float) Math.cos(angle));
                TestTensors.set(table, p, headDim / 2 + i, (float) Math.sin(angle));
            }
        }
        return table;
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 6, 8, 32, 34})
    void qkNormRope(int headDim) {
        AttentionShape shape = new AttentionShape(4, 2, headDim);
        int rows = 53;
        try (TestTensors t = new TestTensors(headDim)) {
            Tensor qkv = t.normal(rows, shape.fusedWidth(), 3, 2);
            Tensor qWeight = t.normal(1, headDim);
            Tensor kWeight = t.normal(1, headDim);
            Tensor rope = ropeTable(t, 40, headDim);
            Tensor positions = t.randomInts(rows, 37);
            Tensor out = t.poisoned(rows, shape.fusedWidth(), 1);
            OPS.qkNormRope(qkv, shape, qWeight, kWeight, EPS, positions, 2, rope, out, rows);
            double[] want = new double[rows * shape.fusedWidth()];
            for (int r = 0; r < rows; r++) {
                int p = TestTensors.getInt(positions, 0, r) + 2;
                for (int h = 0; h < shape.heads() + 2 * shape.kvHeads(); h++) {
                    int at = h * headDim;
                    boolean value = h >= shape.heads() + shape.kvHeads();
                    Tensor weight = h < shape.heads() ? qWeight : kWeight;
                    double squares = 0;
                    for (int i = 0; i < headDim; i++) {
                        squares += Math.pow(TestTensors.get(qkv, r, at + i), 2);
                    }
                    double scale = 1 / Math.sqrt(squares / headDim + EPS);
                    for (int i = 0; i < headDim; i++) {
                        int half = headDim / 2;
                        int pair = i < half ? i + half : i - half;
                        double a = TestTensors.get(qkv, r, at + i);
                        double mine = a * scale * TestTensors.get(weight, 0, i);
                        double other = TestTensors.get(qkv, r, at + pair) * scale * TestTensors.get(weight, 0, pair);
                        double cos = TestTensors.get(rope, p, i % half);
                        double sin = TestTensors.get(rope, p, half + i % half);
                        want[r * shape.fusedWidth() + at + i] = value ? a : mine * cos + (i < half ? -other : other) * sin;
                    }
                }
            }
            t.assertClose(want, out, 4e-6, 1e-6);
            t.checkGuards();
            assertThrows(IllegalArgumentException.class,
                () -> OPS.qkNormRope(qkv, shape, qWeight, kWeight, EPS, t.ints(39), 2, rope, out, 1));
        }
    }

    // --------------------------------------------------------------------------------------------------------- backward

    /** Compares a gradient with central differences of {@code sum(out * dOut)} by the elements of {@code x}. */
    private static void assertGradient(String what, Tensor x, Tensor gradient, int rows, DoubleSupplier objective) {
        double worst = 0;
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < x.cols(); c++) {
                float old = TestTensors.get(x, r, c);
                float step = 4e-3f;
                TestTensors.set(x, r, c, old + step);
                double up = objective.getAsDouble();
                TestTensors.set(x, r, c, old - step);
                double down = objective.getAsDouble();
                TestTensors.set(x, r, c, old);
                double want = (up - down) / (2 * step);
                double tolerance = 2e-3 + 5e-3 * Math.abs(want);
                worst = Math.max(worst, Math.abs(TestTensors.get(gradient, r, c) - want) / tolerance);
                assertEquals(want, TestTensors.get(gradient, r, c), tolerance, what + " at " + r + ", " + c);
            }
        }
        System.out.printf(Locale.ROOT, "%s gradient vs differences: %.0f %% of tolerance used%n", what, 100 * worst);
    }

    private static double dot(Tensor a, Tensor b, int rows) {
        double sum = 0;
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < a.cols(); c++) {
                sum += (double) TestTensors.get(a, r, c) * TestTensors.get(b, r, c);
            }
        }
        return sum;
    }

    private static Tensor zeros(TestTensors t, int rows, int cols) {
        return t.of(new float[rows * cols], rows, cols, 0);
    }

    @Test
    void normGradients() {
        int rows = 5;
        int cols = 13;
        try (TestTensors t = new TestTensors(5)) {
            Tensor x = t.normal(rows, cols);
            Tensor weight = t.normal(1, cols);
            Tensor dOut = t.normal(rows, cols);
            Tensor out = t.poisoned(rows, cols);
            Tensor dX = t.poisoned(rows, cols);
            Tensor dWeight = zeros(t, 1, cols);
            OPS.rmsNormBackward(x, weight, EPS, dOut, dX, false, dWeight, rows);
            DoubleSupplier objective = () -> {
                OPS.rmsNorm(x, weight, EPS, out, rows);
                return dot(out, dOut, rows);
            };
            assertGradient("rmsNorm input", x, dX, rows, objective);
            assertGradient("rmsNorm weight", weight, dWeight, 1, objective);
            float[] once = TestTensors.floats(dX);
            OPS.rmsNormBackward(x, weight, EPS, dOut, dX, true, dWeight, rows);
            for (int i = 0; i < once.length; i++) {
                assertEquals(2 * once[i], TestTensors.get(dX, i / cols, i % cols), 1e-5 * (1 + Math.abs(once[i])));
            }
            t.checkGuards();
        }
    }

    @Test
    void swigluGradient() {
        int rows = 4;
        int n = 11;
        try (TestTensors t = new TestTensors(6)) {
            Tensor gateUp = t.normal(rows, 2 * n);
            Tensor dOut = t.normal(rows, n);
            Tensor out = t.poisoned(rows, n);
            Tensor gradient = t.poisoned(rows, 2 * n);
            OPS.swigluBackward(gateUp, dOut, gradient, rows);
            assertGradient("swiglu", gateUp, gradient, rows, () -> {
                OPS.swiglu(gateUp, out, rows);
                return dot(out, dOut, rows);
            });
            t.checkGuards();
        }
    }

    @Test
    void qkNormRopeGradients() {
        AttentionShape shape = new AttentionShape(2, 1, 6);
        int rows = 5;
        try (TestTensors t = new TestTensors(7)) {
            Tensor qkv = t.normal(rows, shape.fusedWidth());
            Tensor qWeight = t.normal(1, 6);
            Tensor kWeight = t.normal(1, 6);
            Tensor rope = ropeTable(t, 20, 6);
            Tensor positions = t.randomInts(rows, 19);
            Tensor dOut = t.normal(rows, shape.fusedWidth());
            Tensor out = t.poisoned(rows, shape.fusedWidth());
            Tensor dQkv = t.poisoned(rows, shape.fusedWidth());
            Tensor dQ = zeros(t, 1, 6);
            Tensor dK = zeros(t, 1, 6);
            OPS.qkNormRopeBackward(qkv, shape, qWeight, kWeight, EPS, positions, 1, rope, dOut, dQkv, dQ, dK, rows);
            DoubleSupplier objective = () -> {
                OPS.qkNormRope(qkv, shape, qWeight, kWeight, EPS, positions, 1, rope, out, rows);
                return dot(out, dOut, rows);
            };
            assertGradient("qkNormRope input", qkv, dQkv, rows, objective);
            assertGradient("qkNormRope query weight", qWeight, dQ, 1, objective);
            assertGradient("qkNormRope key weight", kWeight, dK, 1, objective);
            t.checkGuards();
        }
    }

    @Test
    void linearGradients() {
        for (int rows : new int[] {1, 7, 130}) {
            try (TestTensors t = new TestTensors(8 + rows)) {
                Tensor x = t.normal(rows, 19);
                Tensor w = t.normal(23, 19);
                Tensor dY = t.normal(rows, 23);
                Tensor dX = t.poisoned(rows, 19);
                Tensor dW = t.normal(23, 19);
                float[] start = TestTensors.floats(dW);
                OPS.linearBackwardInput(dY, w, dX, false, rows);
                OPS.linearBackwardWeight(dY, x, dW, rows);
                double[] wantX = new double[rows * 19];
                double[] wantW = new double[23 * 19];
                for (int o = 0; o < 23; o++) {
                    for (int k = 0; k < 19; k++) {
                        wantW[o * 19 + k] = start[o * 19 + k];
                        for (int r = 0; r < rows; r++) {
                            wantX[r * 19 + k] += (double) TestTensors.get(dY, r, o) * TestTensors.get(w, o, k);
                            wantW[o * 19 + k] += (double) TestTensors.get(dY, r, o) * TestTensors.get(x, r, k);
                        }
                    }
                }
                t.assertClose(wantX, dX, 1e-5, 1e-5);
                t.assertClose(wantW, dW, 1e-5, 3e-5);
                t.checkGuards();
            }
        }
    }

    @Test
    void embeddingGradientAddsRepeatedTokens() {
        try (TestTensors t = new TestTensors(9)) {
            Tensor dTable = zeros(t, 5, 7);
            Tensor dOut = t.normal(4, 7);
            OPS.embeddingBackward(dOut, t.ints(3, 1, 3, 0), dTable, 4);
            double[] want = new double[35];
            for (int c = 0; c < 7; c++) {
                want[21 + c] = TestTensors.get(dOut, 0, c) + TestTensors.get(dOut, 2, c);
                want[7 + c] = TestTensors.get(dOut, 1, c);
                want[c] = TestTensors.get(dOut, 3, c);
            }
            t.assertClose(want, dTable, 1e-7, 0);
            t.checkGuards();
        }
    }

    // ------------------------------------------------------------------------------------------------ losses, optimizer

    private static double[] softmax(Tensor logits, int row, double temperature) {
        double[] p = new double[logits.cols()];
        double max = Double.NEGATIVE_INFINITY;
        for (int x = 0; x < p.length; x++) {
            max = Math.max(max, TestTensors.get(logits, row, x) / temperature);
        }
        double sum = 0;
        for (int x = 0; x < p.length; x++) {
            sum += p[x] = Math.exp(TestTensors.get(logits, row, x) / temperature - max);
        }
        for (int x = 0; x < p.length; x++) {
            p[x] /= sum;
        }
        return p;
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 17, 50, 401, 1271})
    void logProbabilities(int vocab) {
        int rows = 9;
        try (TestTensors t = new TestTensors(vocab)) {
            Tensor logits = t.normal(rows, vocab, 3, 4);
            Tensor targets = t.randomInts(rows, vocab);
            Tensor out = t.poisoned(1, rows);
            Tensor coefficients = t.normal(1, rows);
            TestTensors.set(coefficients, 0, 4, 0);
            double[] want = new double[rows];
            double[] gradient = new double[rows * vocab];
            for (int r = 0; r < rows; r++) {
                double[] p = softmax(logits, r, 0.7);
                int target = TestTensors.getInt(targets, 0, r);
                want[r] = Math.log(p[target]);
                for (int x = 0; x < vocab; x++) {
                    gradient[r * vocab + x] = TestTensors.get(coefficients, 0, r) * ((x == target ? 1 : 0) - p[x]) / 0.7;
                }
            }
            OPS.logProbs(logits, targets, 0.7f, out, rows);
            t.assertClose(want, out, 1e-5, 1e-5);
            OPS.logProbsBackward(logits, targets, 0.7f, coefficients, rows);
            t.assertClose(gradient, logits, 1e-4, 1e-6);
            t.checkGuards();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {5, 18, 401})
    void distillation(int vocab) {
        int rows = 7;
        int k = 4;
        double temperature = 0.8;
        try (TestTensors t = new TestTensors(1000 + vocab)) {
            Tensor teacher = t.normal(rows, vocab, 0, 2);
            Tensor ids = t.poisonedInts(rows, k);
            Tensor logProbs = t.poisoned(rows, k);
            Tensor tails = t.poisoned(1, rows);
            Tensor all = t.ints(0, 1, 2, 3, 4, 5, 6);
            OPS.topLogProbs(teacher, 1f, all, rows, ids, logProbs, tails);
            Tensor student = t.normal(rows, vocab, 2, 2);
            Tensor weights = t.of(new float[] {1, 0.5f, 0, 2, 1, 0, 0.25f}, 1, rows, 0);
            Tensor losses = t.poisoned(1, rows);
            double[] wantLoss = new double[rows];
            double[] wantGradient = new double[rows * vocab];
            for (int r = 0; r < rows; r++) {
                double[] p = softmax(teacher, r, 1);
                double[] q = softmax(student, r, temperature);
                double pTail = 1;
                double qTail = 1;
                double last = Double.POSITIVE_INFINITY;
                boolean[] named = new boolean[vocab];
                for (int i = 0; i < k; i++) {
                    int id = TestTensors.getInt(ids, r, i);
                    named[id] = true;
                    assertEquals(Math.log(p[id]), TestTensors.get(logProbs, r, i), 1e-4);
                    assertEquals(true, p[id] <= last, "largest first");
                    last = p[id];
                    wantLoss[r] += p[id] * Math.log(p[id] / q[id]);
                    pTail -= p[id];
                    qTail -= q[id];
                }
                for (int x = 0; x < vocab; x++) {
                    assertEquals(true, named[x] || p[x] <= last + 1e-9, "the k largest are named");
                }
                assertEquals(pTail, Math.exp(TestTensors.get(tails, 0, r)), 1e-5);
                wantLoss[r] += pTail * Math.log(pTail / qTail);
                for (int x = 0; x < vocab; x++) {
                    double target = named[x] ? p[x] : pTail * q[x] / qTail;
                    wantGradient[r * vocab + x] = TestTensors.get(weights, 0, r) * (q[x] - target) / temperature;
                }
                if (TestTensors.get(weights, 0, r) == 0) {
                    wantLoss[r] = 0;
                }
            }
            OPS.klDistill(student, (float) temperature, ids, logProbs, tails, weights, losses, rows);
            t.assertClose(wantLoss, losses, 1e-4, 2e-5);
            t.assertClose(wantGradient, student, 1e-3, 2e-5);
            t.checkGuards();
        }
    }

    @Test
    void adamWFollowsItsPaper() {
        int n = 5003;
        try (TestTensors t = new TestTensors(12)) {
            Tensor w = t.normal(1, n);
            Tensor first = zeros(t, 1, n);
            Tensor second = zeros(t, 1, n);
            double[] want = new double[n];
            double[] m = new double[n];
            double[] v = new double[n];
            for (int i = 0; i < n; i++) {
                want[i] = TestTensors.get(w, 0, i);
            }
            for (int step = 1; step <= 4; step++) {
                Tensor g = t.normal(1, n);
                double squares = 0;
                for (int i = 0; i < n; i++) {
                    double gradient = 0.5 * TestTensors.get(g, 0, i);
                    squares += Math.pow(TestTensors.get(g, 0, i), 2);
                    m[i] = 0.9 * m[i] + 0.1 * gradient;
                    v[i] = 0.95 * v[i] + 0.05 * gradient * gradient;
                    double update = m[i] / (1 - Math.pow(0.9, step)) / (Math.sqrt(v[i] / (1 - Math.pow(0.95, step))) + 1e-8);
                    want[i] -= 0.01 * (update + 0.1 * want[i]);
                }
                assertEquals(squares, OPS.squaredNorm(g), 1e-6 * squares);
                OPS.adamW(w, g, first, second, 0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, step, 0.5f);
            }
            t.assertClose(want, w, 1e-5, 2e-6);
            t.checkGuards();
        }
    }
}

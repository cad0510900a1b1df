package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;

/** Distillation, log-probabilities and the optimizer against their definitions in doubles. */
class CpuLossesTest {
    private static final Ops OPS = SharedOps.on(2);

    /** Forward KL over named tokens and one bucket for the rest, by its definition. */
    private static double divergence(double[] student, double temperature, int[] ids, double[] logProbs, double logTail) {
        double[] logs = Softmaxes.logSoftmax(student, temperature);
        boolean[] named = new boolean[student.length];
        double loss = 0;
        for (int k = 0; k < ids.length; k++) {
            named[ids[k]] = true;
            loss += Math.exp(logProbs[k]) * (logProbs[k] - logs[ids[k]]);
        }
        double rest = 0;
        for (int x = 0; x < student.length; x++) {
            rest += named[x] ? 0 : Math.exp(logs[x]);
        }
        return logTail <= -30 ? loss : loss + Math.exp(logTail) * (logTail - Math.log(rest));
    }

    /** Total variation over the same tokens and bucket. */
    private static double variation(double[] student, double temperature, int[] ids, double[] logProbs, double logTail) {
        double[] logs = Softmaxes.logSoftmax(student, temperature);
        double rest = 1;
        double distance = 0;
        for (int k = 0; k < ids.length; k++) {
            double q = Math.exp(logs[ids[k]]);
            rest -= q;
            distance += Math.abs(q - Math.exp(logProbs[k])) / 2;
        }
        return distance + Math.abs(rest - (logTail <= -30 ? 0 : Math.exp(logTail))) / 2;
    }

    /** What a teacher leaves behind: ids, log-probabilities, and tails whose masses need not sum to exactly one. */
    private record Teacher(Tensor ids, Tensor logProbs, Tensor tails) {
        static Teacher random(TestTensors t, int rows, int vocab, int k) {
            Tensor ids = t.poisonedInts(rows, k);
            Tensor logProbs = t.poisoned(rows, k, 1);
            Tensor tails = t.poisoned(1, rows);
            for (int r = 0; r < rows; r++) {
                double[] logits = t.random().doubles(vocab, -3, 3).toArray();
                double[] logs = Softmaxes.logSoftmax(logits, 1);
                int[] order = TestMirrors.permutation(t.random(), vocab);
                double rest = 0;
                for (int x = 0; x < vocab; x++) {
                    if (x < k) {
                        TestTensors.setInt(ids, r, x, order[x]);
                        TestTensors.set(logProbs, r, x, (float) logs[order[x]]);
                    } else {
                        rest += Math.exp(logs[order[x]]);
                    }
                }
                TestTensors.set(tails, 0, r, rest == 0 ? -30f : (float) Math.log(rest));
            }
            return new Teacher(ids, logProbs, tails);
        }

        double loss(int row, double[] student, double temperature, double share) {
            int[] named = new int[ids.cols()];
            for (int k = 0; k < named.length; k++) {
                named[k] = TestTensors.getInt(ids, row, k);
            }
            double[] logs = Differences.row(logProbs, row);
            double tail = TestTensors.get(tails, 0, row);
            return (1 - share) * divergence(student, temperature, named, logs, tail)
                + share * variation(student, temperature, named, logs, tail);
        }
    }

    @ParameterizedTest
    @CsvSource({"2,1,1,0", "5,5,1,0", "17,1,0.5,0", "41,16,0.8,0", "41,40,1,0", "41,41,1.7,0", "401,16,0,0", "8,3,100,0",
        "2,1,1,1", "5,5,1,0.5", "17,1,0.5,1", "41,16,0.8,0.25", "41,40,1,1", "401,16,0,0.9"})
    void distillationIsTheDivergenceAndItsGradient(int vocab, int k, float temperature, float variation) {
        int rows = 9;
        long seed = 1000L * vocab + k;
        double heat = temperature > 0 ? temperature : 1;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("klDistill " + k + " of " + vocab + ", " + variation,
            seed)) {
            Teacher teacher = Teacher.random(t, rows, vocab, k);
            Tensor student = t.normal(rows, vocab, 3, 1.5 * heat);
            Tensor weights = t.of(new float[] {1, 0.5f, 0, 2, -1, 0, 0.25f, 1e-3f, 7}, 1, rows, 0);
            Tensor losses = t.poisoned(1, rows);
            double[] wantLosses = new double[rows];
            double[] wantGradient = new double[rows * vocab];
            for (int r = 0; r < rows; r++) {
                int row = r;
                double weight = TestTensors.get(weights, 0, r);
                if (weight == 0) {
                    continue;
                }
                double[] logits = Differences.row(student, r);
                wantLosses[r] = teacher.loss(r, logits, heat, variation);
                double[] slope = Differences.gradient(logits, v -> teacher.loss(row, v, heat, variation));
                for (int x = 0; x < vocab; x++) {
                    wantGradient[r * vocab + x] = weight * slope[x];
                }
            }
            OPS.klDistill(student, temperature, teacher.ids, teacher.logProbs, teacher.tails, null, variation, weights, losses, rows);
            close.check(wantLosses, losses, 1e-5, 5e-6);
            close.check(wantGradient, student, 1e-4, 3e-6);
            t.checkGuards();
        }
    }

    /** A student that is its teacher has nothing to learn. */
    @ParameterizedTest
    @ValueSource(ints = {1, 4, 16, 29})
    void equalDistributionsHaveNeitherLossNorGradient(int k) {
        int rows = 11;
        int vocab = 30;
        try (TestTensors t = new TestTensors(1100 + k); Closeness close = new Closeness("klDistill of equals, " + k, 1100 + k)) {
            Tensor logits = t.normal(rows, vocab);
            Tensor ids = t.poisonedInts(rows, k);
            Tensor logProbs = t.poisoned(rows, k);
            Tensor tails = t.poisoned(1, rows);
            Tensor all = t.ints(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
            OPS.topLogProbs(logits, 0.9f, all, rows, ids, logProbs, tails);
            float[] ones = new float[rows];
            Arrays.fill(ones, 1f);
            Tensor losses = t.poisoned(1, rows);
            OPS.klDistill(logits, 0.9f, ids, logProbs, tails, t.of(ones, 1, rows, 0), losses, rows);
            close.check(new double[rows], losses, 0, 2e-6);
            close.check(new double[rows * vocab], logits, 0, 2e-6);
            t.checkGuards();
        }
    }

    /** A tail of -30 or less is none: then unnamed tokens are only pushed down, each by its probability. */
    @Test
    void noTailMeansNoMassOutside() {
        try (TestTensors t = new TestTensors(1200); Closeness close = new Closeness("klDistill without tail", 1200)) {
            float[] tails = {-30f, -31f, Float.NEGATIVE_INFINITY};
            for (float tail : tails) {
                Tensor student = t.normal(1, 6);
                double[] p = Arrays.stream(Softmaxes.logSoftmax(Differences.row(student, 0), 1)).map(Math::exp).toArray();
                Tensor losses = t.poisoned(1, 1);
                OPS.klDistill(student, 1f, t.ints(2), t.of(new float[] {0f}, 1, 1, 0), t.of(new float[] {tail}, 1, 1, 0),
                    t.of(new float[] {1f}, 1, 1, 0), losses, 1);
                close.check(-Math.log(p[2]), TestTensors.get(losses, 0, 0), 1e-5, "loss");
                for (int x = 0; x < 6; x++) {
                    close.check(p[x] - (x == 2 ? 1 : 0), TestTensors.get(student, 0, x), 1e-6, "token " + x);
                }
            }
            t.checkGuards();
        }
    }

    /** Logits so far apart that all other exponentials are 0 still give finite numbers, and the named tokens the right ones. */
    @Test
    void certainStudentsStayFinite() {
        try (TestTensors t = new TestTensors(1201); Closeness close = new Closeness("klDistill of certain students", 1201)) {
            Tensor student = t.of(new float[] {300, -300, 0, 5, 300, -300, 0, 5}, 2, 4, 0);
            Tensor ids = t.poisonedInts(2, 2);
            TestTensors.setInt(ids, 0, 0, 0);
            TestTensors.setInt(ids, 0, 1, 1);
            TestTensors.setInt(ids, 1, 0, 1);
            TestTensors.setInt(ids, 1, 1, 2);
            Tensor logProbs = t.of(new float[] {(float) Math.log(0.5), (float) Math.log(0.5), (float) Math.log(0.75),
                (float) Math.log(0.25)}, 2, 2, 0);
            Tensor losses = t.poisoned(1, 2);
            OPS.klDistill(student, 1f, ids, logProbs, t.of(new float[] {-30, -30}, 1, 2, 0), t.of(new float[] {1, 1}, 1, 2, 0), losses, 2);
            close.check(new double[] {Math.log(0.5) + 0.5 * 600, 0.75 * (Math.log(0.75) + 600) + 0.25 * (Math.log(0.25) + 300)}, losses,
                1e-6, 1e-6);
            close.check(new double[] {0.5, -0.5, 0, 0, 1, -0.75, -0.25, 0}, student, 1e-6, 1e-6);
        }
    }

    @Test
    void idsOutsideTheVocabularyAreRefused() {
        try (TestTensors t = new TestTensors(1202)) {
            for (int bad : new int[] {-1, 5}) {
                Tensor student = t.normal(1, 5);
                Tensor before = t.copy(student);
                assertThrows(IllegalArgumentException.class, () -> OPS.klDistill(student, 1f, t.ints(2, bad), t.normal(1, 2),
                    t.of(new float[] {-1}, 1, 1, 0), t.of(new float[] {1}, 1, 1, 0), t.poisoned(1, 1), 1));
                t.assertSameBits(before, student);
            }
            Tensor student = t.normal(2, 5);
            assertThrows(IllegalArgumentException.class, () -> OPS.klDistill(student, 1f, t.ints(2, 3), t.normal(2, 2), t.normal(1, 2),
                t.normal(1, 2), t.poisoned(1, 2), 2), "one row of ids for two");
            assertThrows(IllegalArgumentException.class, () -> OPS.klDistill(student, 1f, t.ints(2, 3), t.normal(2, 3), t.normal(1, 2),
                t.normal(1, 2), t.poisoned(1, 2), 1), "different widths");
            t.checkGuards();
        }
    }

    @ParameterizedTest
    @CsvSource({"1,1", "2,0", "17,0.5", "50,100", "401,0.01", "1271,1"})
    void logProbabilitiesAndTheirGradient(int vocab, float temperature) {
        int rows = 13;
        double heat = temperature > 0 ? temperature : 1;
        long seed = 1300 + vocab;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("logProbs of " + vocab, seed)) {
            Tensor logits = t.normal(rows, vocab, 3, 2 * heat);
            Tensor targets = t.randomInts(rows, vocab);
            Tensor coefficients = t.normal(1, rows);
            TestTensors.set(coefficients, 0, 4, 0);
            Tensor out = t.poisoned(1, rows);
            double[] want = new double[rows];
            double[] gradient = new double[rows * vocab];
            for (int r = 0; r < rows; r++) {
                double[] logs = Softmaxes.logSoftmax(Differences.row(logits, r), temperature);
                int target = TestTensors.getInt(targets, 0, r);
                want[r] = logs[target];
                for (int x = 0; x < vocab; x++) {
                    gradient[r * vocab + x] = TestTensors.get(coefficients, 0, r) * ((x == target ? 1 : 0) - Math.exp(logs[x])) / heat;
                }
            }
            OPS.logProbs(logits, targets, temperature, out, rows);
            close.check(want, out, 1e-6, 2e-6);
            OPS.logProbsBackward(logits, targets, temperature, coefficients, rows);
            close.check(gradient, logits, 1e-5, 1e-6 / heat);
            OPS.logProbs(logits, targets, temperature, out, 0);
            OPS.logProbsBackward(logits, targets, temperature, coefficients, 0);
            t.checkGuards();
        }
    }

    @Test
    void targetsOutsideTheVocabularyAreRefused() {
        try (TestTensors t = new TestTensors(1400)) {
            Tensor logits = t.normal(2, 5);
            Tensor before = t.copy(logits);
            Tensor out = t.poisoned(1, 2);
            for (int bad : new int[] {-1, 5}) {
                assertThrows(IllegalArgumentException.class, () -> OPS.logProbs(logits, t.ints(0, bad), 1f, out, 2));
                assertThrows(IllegalArgumentException.class, () -> OPS.logProbsBackward(logits, t.ints(0, bad), 1f, t.normal(1, 2), 2));
            }
            t.assertSameBits(before, logits);
            t.checkGuards();
        }
    }

    /** The loss of a row depends on nothing around it, nor on threads; in a batch with more rows than threads. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void lossesOfARowAreItsOwn(int threads) {
        int rows = 301;
        int vocab = 41;
        try (TestTensors t = new TestTensors(1500)) {
            Teacher teacher = Teacher.random(t, rows, vocab, 6);
            Tensor together = t.normal(rows, vocab, 0, 2);
            Tensor alone = t.copy(together);
            Tensor weights = t.normal(1, rows);
            Tensor losses = t.poisoned(1, rows);
            Tensor loss = t.poisoned(1, rows);
            SharedOps.on(threads).klDistill(together, 1f, teacher.ids, teacher.logProbs, teacher.tails, weights, losses, rows);
            for (int r = 0; r < rows; r++) {
                SharedOps.on(1).klDistill(alone.rows(r, r + 1), 1f, teacher.ids.rows(r, r + 1), teacher.logProbs.rows(r, r + 1),
                    teacher.tails.columns(r, r + 1), weights.columns(r, r + 1), loss.columns(r, r + 1), 1);
            }
            t.assertSameBits(alone, together);
            t.assertSameBits(loss, losses);
            t.checkGuards();
        }
    }

    // --------------------------------------------------------------------------------------------------------- optimizer

    /** Sizes around the vectors and around the blocks of 65,536 elements that threads share out. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 8, 9, 65535, 65536, 65537, 140_001})
    void squaredNorm(int size) {
        try (TestTensors t = new TestTensors(size); Closeness close = new Closeness("squaredNorm of " + size, size)) {
            Tensor x = t.normal(1, size, 0, 3);
            double want = 0;
            for (float v : TestTensors.floats(x)) {
                want += (double) v * v;
            }
            double got = OPS.squaredNorm(x);
            close.check(want, got, 1e-12 * want, "sum");
            for (int threads = 1; threads <= 3; threads++) {
                assertEquals(got, SharedOps.on(threads).squaredNorm(x), "on " + threads + " threads");
            }
            Tensor square = size % 7 == 0 ? x.reshape(7, size / 7) : x;
            assertEquals(got, OPS.squaredNorm(square), "in another shape");
            t.checkGuards();
        }
    }

    @Test
    void squaredNormRefusesGapsAndReportsOverflow() {
        try (TestTensors t = new TestTensors(1600)) {
            assertThrows(IllegalArgumentException.class, () -> OPS.squaredNorm(t.normal(2, 3, 1, 1)));
            assertThrows(IllegalArgumentException.class, () -> OPS.squaredNorm(t.ints(1, 2)));
            assertEquals(0, OPS.squaredNorm(t.arena().allocate(DType.F32, 1, 0)));
            assertEquals(2e60, OPS.squaredNorm(t.of(new float[] {1e30f, 1e30f}, 1, 2, 0)), 1e54, "squares do not overflow");
            assertEquals(Double.NaN, OPS.squaredNorm(t.of(new float[] {1, Float.NaN, 2}, 1, 3, 0)), "a NaN is not lost");
            assertEquals(Double.POSITIVE_INFINITY, OPS.squaredNorm(t.of(new float[] {1, 2, Float.NEGATIVE_INFINITY}, 1, 3, 0)));
        }
    }

    /** Ten steps of the published algorithm, moments included, at sizes with and without tails. */
    @ParameterizedTest
    @CsvSource({"1,0.1,1", "7,0,0.5", "9,0.1,2", "65541,0.01,0.25"})
    void adamWFollowsItsPaper(int size, float decay, float scale) {
        try (TestTensors t = new TestTensors(1700 + size); Closeness close = new Closeness("adamW of " + size, 1700 + size)) {
            Tensor weights = t.normal(1, size);
            Tensor first = t.of(new float[size], 1, size, 0);
            Tensor second = t.of(new float[size], 1, size, 0);
            double[] w = Differences.row(weights, 0);
            double[] m = new double[size];
            double[] v = new double[size];
            double beta1 = 0.9f;
            double beta2 = 0.999f;
            for (int step = 1; step <= 10; step++) {
                Tensor gradients = t.normal(1, size);
                Tensor before = t.copy(gradients);
                for (int i = 0; i < size; i++) {
                    double g = scale * (double) TestTensors.get(gradients, 0, i);
                    m[i] = beta1 * m[i] + (1 - beta1) * g;
                    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
                    double hat = m[i] / (1 - Math.pow(beta1, step));
                    w[i] -= 3e-3f * (hat / (Math.sqrt(v[i] / (1 - Math.pow(beta2, step))) + 1e-6f) + decay * w[i]);
                }
                OPS.adamW(weights, gradients, first, second, 3e-3f, 0.9f, 0.999f, 1e-6f, decay, step, scale);
                t.assertSameBits(before, gradients);
            }
            close.check(w, weights, 1e-6, 3e-6);
            close.check(m, first, 1e-6, 1e-6);
            close.check(v, second, 3e-6, 1e-9);
            t.checkGuards();
        }
    }

    @Test
    void adamWHasTheSameBitsOnAnyThreadsAndRefusesStepZero() {
        int size = 3 * 65536 + 5;
        try (TestTensors t = new TestTensors(1800)) {
            Tensor gradients = t.normal(1, size);
            Tensor[] start = {t.normal(1, size), t.normal(1, size), t.of(new float[size], 1, size, 0)};
            OPS.fill(start[2], 0.5f);
            Tensor[] want = null;
            for (int threads = 1; threads <= 3; threads++) {
                Tensor[] got = {t.copy(start[0]), t.copy(start[1]), t.copy(start[2])};
                SharedOps.on(threads).adamW(got[0], gradients, got[1], got[2], 1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 7, 1f);
                for (int i = 0; want != null && i < 3; i++) {
                    t.assertSameBits(want[i], got[i]);
                }
                want = got;
            }
            Tensor[] last = want;
            assertThrows(IllegalArgumentException.class,
                () -> OPS.adamW(last[0], gradients, last[1], last[2], 1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0, 1f));
            assertThrows(IllegalArgumentException.class, () -> OPS.adamW(last[0], gradients.columns(0, size - 1), last[1], last[2], 1e-3f,
                0.9f, 0.95f, 1e-8f, 0.1f, 1, 1f));
            t.checkGuards();
        }
    }
}

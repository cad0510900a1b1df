package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;

/** Distillation from whole teacher rows, and into a smaller vocabulary: values and gradients against libtorch's in doubles. */
class CpuDistillationTest {
    private static final Ops OPS = SharedOps.on(2);

    private static NDArray wide(NDManager manager, Tensor tensor, int rows) {
        double[] values = new double[rows * tensor.cols()];
        for (int i = 0; i < values.length; i++) {
            values[i] = TestTensors.get(tensor, i / tensor.cols(), i % tensor.cols());
        }
        return manager.create(values, new Shape(rows, tensor.cols()));
    }

    private static double heat(double temperature) {
        return temperature > 0 ? temperature : 1;
    }

    /** A divisor for {@code div}: a Number's memory DJL would free at the next collection, and backward reads it. */
    private static NDArray held(NDManager manager, double temperature) {
        return manager.create(heat(temperature));
    }

    /** Some of a larger vocabulary's tokens, rising, one for each of a smaller one's. */
    private static int[] chosen(TestTensors t, int teacherVocab, int vocab) {
        int[] order = TestMirrors.permutation(t.random(), teacherVocab);
        int[] kept = Arrays.copyOf(order, vocab);
        Arrays.sort(kept);
        return kept;
    }

    @ParameterizedTest
    @CsvSource({"1,1,1,1", "2,2,1,0", "41,41,0,1", "401,401,0.7,1.3", "1271,1271,1,2", "3,7,1,1", "40,401,1.7,0.6", "256,1271,1,1"})
    void denseTeachers(int vocab, int teacherVocab, float temperature, float teacherTemperature) {
        int rows = 7;
        long seed = 2000L * vocab + teacherVocab;
        try (TestTensors t = new TestTensors(seed);
             Closeness close = new Closeness("klDistillDense " + vocab + " of " + teacherVocab, seed);
             NDManager manager = NDManager.newBaseManager("PyTorch")) {
            Tensor student = t.normal(rows + 1, vocab, 3, 2 * heat(temperature));
            Tensor teacher = t.normal(rows + 1, teacherVocab, 2, 2 * heat(teacherTemperature));
            Tensor weights = t.of(new float[] {1, 0.5f, 0, 2, -1, 1e-3f, 7, 3}, 1, rows + 1, 0);
            Tensor losses = t.poisoned(1, rows + 1);
            int[] kept = vocab == teacherVocab ? null : chosen(t, teacherVocab, vocab);
            Tensor rest = t.copy(student);

            NDArray z = wide(manager, student, rows);
            NDArray y = wide(manager, teacher, rows);
            if (kept != null) {
                // gather wants an index for every element.
                long[] index = new long[rows * vocab];
                for (int i = 0; i < index.length; i++) {
                    index[i] = kept[i % vocab];
                }
                y = y.gather(manager.create(index, new Shape(rows, vocab)), 1);
            }
            NDArray logP = y.div(heat(teacherTemperature)).logSoftmax(1);
            double[] want;
            double[] gradient;
            NDArray held = held(manager, temperature);
            z.setRequiresGradient(true);
            try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
                NDArray divergence = logP.exp().mul(logP.sub(z.div(held).logSoftmax(1))).sum(new int[] {1});
                NDArray w = wide(manager, weights, 1).flatten().get("0:" + rows);
                want = divergence.toDoubleArray();
                collector.backward(divergence.mul(w).sum());
                gradient = z.getGradient().toType(DataType.FLOAT64, false).toDoubleArray();
            }
            want[2] = 0;

            OPS.klDistillDense(student, temperature, teacher, teacherTemperature, kept == null ? null : t.ints(kept), weights, losses,
                rows);
            close.check(want, losses.columns(0, rows), 1e-6, 1e-7);
            close.check(gradient, student.rows(0, rows), 1e-6, 1e-7);
            t.assertSameBits(rest.rows(rows, rows + 1), student.rows(rows, rows + 1));
            assertTrue(Float.isNaN(TestTensors.get(losses, 0, rows)), "no loss past the live rows");
            t.checkGuards();
        }
    }

    /** Log-probabilities are logits like any other: adding a constant to a row changes nothing. */
    @Test
    void teachersNeedNotBeNormalised() {
        try (TestTensors t = new TestTensors(2100); Closeness close = new Closeness("klDistillDense of shifted rows", 2100)) {
            Tensor a = t.normal(3, 29);
            Tensor b = t.copy(a);
            Tensor teacher = t.normal(3, 29);
            Tensor shifted = t.copy(teacher);
            for (int x = 0; x < 29; x++) {
                TestTensors.set(shifted, 1, x, TestTensors.get(teacher, 1, x) + 8);
            }
            Tensor weights = t.of(new float[] {1, 1, 1}, 1, 3, 0);
            Tensor lossesA = t.poisoned(1, 3);
            Tensor lossesB = t.poisoned(1, 3);
            OPS.klDistillDense(a, 1f, teacher, 1f, null, weights, lossesA, 3);
            OPS.klDistillDense(b, 1f, shifted, 1f, null, weights, lossesB, 3);
            close.check(Differences.row(lossesA, 0), lossesB, 1e-5, 1e-6);
            close.check(Differences.row(a, 1), b.rows(1, 2), 1e-5, 1e-6);
        }
    }

    /** Tokens of probability 0 and teachers that know none of the student's tokens. */
    @Test
    void teachersWithoutMass() {
        float none = Float.NEGATIVE_INFINITY;
        try (TestTensors t = new TestTensors(2101); Closeness close = new Closeness("klDistillDense without mass", 2101)) {
            Tensor student = t.of(new float[] {1, 2, 1, 2, 1, 2}, 3, 2, 0);
            Tensor teacher = t.of(new float[] {0, none, none, none, none, 5, none, 3, none}, 3, 3, 0);
            Tensor losses = t.poisoned(1, 3);
            OPS.klDistillDense(student, 1f, teacher, 1f, t.ints(0, 2), t.of(new float[] {1, 1, 1}, 1, 3, 0), losses, 3);
            double q = 1 / (1 + Math.E);
            close.check(new double[] {-Math.log(q), -Math.log(1 - q), 0}, losses, 1e-6, 1e-7);
            close.check(new double[] {q - 1, 1 - q, q, -q, 0, 0}, student, 1e-6, 1e-7);
            t.checkGuards();
        }
    }

    @Test
    void denseTeachersThatDoNotFitAreRefused() {
        try (TestTensors t = new TestTensors(2102)) {
            Tensor student = t.normal(2, 5);
            Tensor before = t.copy(student);
            Tensor one = t.of(new float[] {1, 1}, 1, 2, 0);
            Tensor losses = t.poisoned(1, 2);
            assertThrows(IllegalArgumentException.class, () -> OPS.klDistillDense(student, 1f, t.normal(2, 6), 1f, null, one, losses, 2));
            assertThrows(IllegalArgumentException.class, () -> OPS.klDistillDense(student, 1f, t.normal(1, 5), 1f, null, one, losses, 2));
            assertThrows(IllegalArgumentException.class,
                () -> OPS.klDistillDense(student, 1f, t.normal(2, 9), 1f, t.ints(0, 1, 2, 3), one, losses, 2));
            for (int bad : new int[] {-1, 9}) {
                assertThrows(IllegalArgumentException.class,
                    () -> OPS.klDistillDense(student, 1f, t.normal(2, 9), 1f, t.ints(0, 1, 2, 3, bad), one, losses, 2));
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.klDistillDense(student, 1f, student, 1f, null, one, losses, 2));
            assertThrows(IllegalArgumentException.class,
                () -> OPS.klDistillDense(t.arena().allocate(DType.BF16, 2, 5), 1f, t.normal(2, 5), 1f, null, one, losses, 2));
            t.assertSameBits(before, student);
            t.checkGuards();
        }
    }

    /** Mapped ids name the student's tokens; what it lacks counts with the tail. Against libtorch, tail and gradient too. */
    @ParameterizedTest
    @CsvSource({"5,9,3,1", "40,401,16,0.8", "256,1271,64,1", "3,50,8,1"})
    void smallerVocabularies(int vocab, int teacherVocab, int k, float temperature) {
        int rows = 9;
        long seed = 3000L * vocab + k;
        try (TestTensors t = new TestTensors(seed);
             Closeness close = new Closeness("klDistill " + k + " into " + vocab, seed);
             NDManager manager = NDManager.newBaseManager("PyTorch")) {
            int[] kept = chosen(t, teacherVocab, vocab);
            int[] map = new int[teacherVocab];
            Arrays.fill(map, -1);
            for (int x = 0; x < vocab; x++) {
                map[kept[x]] = x;
            }
            Tensor student = t.normal(rows, vocab, 1, 1.5 * temperature);
            Tensor all = t.normal(rows, teacherVocab, 0, 2);
            int[] numbers = IntStream.range(0, rows).toArray();
            Tensor ids = t.poisonedInts(rows, k);
            Tensor logProbs = t.poisoned(rows, k);
            Tensor tails = t.poisoned(1, rows);
            OPS.topLogProbs(all, 1f, t.ints(numbers), rows, ids, logProbs, tails);
            float[] w = {1, 0.5f, 0, 2, -1, 0.25f, 1e-2f, 7, 1};
            Tensor losses = t.poisoned(1, rows);

            // The teacher's mass at each of the student's tokens where it is named, and what is left over.
            double[] mass = new double[rows * vocab];
            double[] other = new double[rows * vocab];
            double[] tail = new double[rows];
            int missing = 0;
            for (int r = 0; r < rows; r++) {
                tail[r] = Math.exp(TestTensors.get(tails, 0, r));
                Arrays.fill(other, r * vocab, (r + 1) * vocab, 1);
                for (int j = 0; j < k; j++) {
                    int own = map[TestTensors.getInt(ids, r, j)];
                    double p = Math.exp(TestTensors.get(logProbs, r, j));
                    if (own < 0) {
                        tail[r] += p;
                        missing++;
                    } else {
                        mass[r * vocab + own] = p;
                        other[r * vocab + own] = 0;
                    }
                }
            }
            assertTrue(missing > 0, "some named tokens are meant to be missing");
            NDArray z = wide(manager, student, rows);
            NDArray p = manager.create(mass, new Shape(rows, vocab));
            NDArray left = manager.create(tail);
            double[] want;
            double[] gradient;
            NDArray held = held(manager, temperature);
            z.setRequiresGradient(true);
            try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
                NDArray logQ = z.div(held).logSoftmax(1);
                NDArray rest = logQ.exp().mul(manager.create(other, new Shape(rows, vocab))).sum(new int[] {1});
                NDArray divergence = p.mul(p.maximum(1e-300).log().sub(logQ)).sum(new int[] {1}).add(left.mul(left.log().sub(rest.log())));
                want = divergence.toDoubleArray();
                double[] weights = new double[rows];
                for (int r = 0; r < rows; r++) {
                    weights[r] = w[r];
                }
                collector.backward(divergence.mul(manager.create(weights)).sum());
                gradient = z.getGradient().toDoubleArray();
            }
            want[2] = 0;
            OPS.klDistill(student, temperature, ids, logProbs, tails, t.ints(map), t.of(w, 1, rows, 0), losses, rows);
            close.check(want, losses, 1e-5, 3e-6);
            close.check(gradient, student, 1e-4, 3e-6);
            t.checkGuards();
        }
    }

    @Test
    void mapsOutOfRangeAreRefused() {
        try (TestTensors t = new TestTensors(3100)) {
            Tensor student = t.normal(1, 5);
            Tensor before = t.copy(student);
            Tensor one = t.of(new float[] {1}, 1, 1, 0);
            for (int bad : new int[] {-2, 5}) {
                assertThrows(IllegalArgumentException.class, () -> OPS.klDistill(student, 1f, t.ints(0, 2), t.normal(1, 2), one,
                    t.ints(4, -1, bad), one, t.poisoned(1, 1), 1), "an entry of " + bad);
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.klDistill(student, 1f, t.ints(0, 3), t.normal(1, 2), one,
                t.ints(4, -1, 2), one, t.poisoned(1, 1), 1), "an id past the map");
            t.assertSameBits(before, student);
            t.checkGuards();
        }
    }

    /** Where named tokens hold nearly all of the student's mass, what it leaves for the others is still exact. */
    @Test
    void smallRestsAreNotLostToRounding() {
        try (TestTensors t = new TestTensors(3200); Closeness close = new Closeness("klDistill with small rests", 3200)) {
            Tensor student = t.of(new float[] {20, 19, 3, 2}, 1, 4, 0);
            double others = Math.exp(3) + Math.exp(2);
            double total = Math.exp(20) + Math.exp(19) + others;
            double rest = others / total;
            Tensor ids = t.ints(0, 1);
            Tensor logProbs = t.of(new float[] {(float) Math.log(0.5), (float) Math.log(0.25)}, 1, 2, 0);
            float logTail = (float) Math.log(0.25);
            Tensor losses = t.poisoned(1, 1);
            OPS.klDistill(student, 1f, ids, logProbs, t.of(new float[] {logTail}, 1, 1, 0), t.of(new float[] {1}, 1, 1, 0), losses, 1);
            double named = 0.5 * (Math.log(0.5) - 20 + Math.log(total)) + 0.25 * (Math.log(0.25) - 19 + Math.log(total));
            close.check(named + 0.25 * (Math.log(0.25) - Math.log(rest)), TestTensors.get(losses, 0, 0), 1e-5, "loss");
            close.check(Math.exp(3) / total - 0.25 * Math.exp(3) / others, TestTensors.get(student, 0, 2), 1e-6, "an unnamed token");
        }
    }
}

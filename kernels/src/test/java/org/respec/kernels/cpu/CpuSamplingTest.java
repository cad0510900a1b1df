package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.Comparator;
import java.util.Locale;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;

class CpuSamplingTest {
    private static final Ops OPS = SharedOps.on(2);

    private static RowBatch batch(TestTensors t, int rows, int firstPosition) {
        RowBatch batch = RowBatch.allocate(t.arena(), rows, 1);
        batch.requestIds().host().host().setAtIndex(ValueLayout.JAVA_LONG, 0, 77);
        for (int r = 0; r < rows; r++) {
            batch.positions().host().host().setAtIndex(ValueLayout.JAVA_INT, r, firstPosition + r);
            batch.rowRequests().host().host().setAtIndex(ValueLayout.JAVA_INT, r, 0);
        }
        return batch;
    }

    /** Probabilities after temperature, top-k and top-p in doubles; of equal ones the smaller tokens stay. */
    private static double[] filtered(Tensor logits, int row, SamplingParams params) {
        int vocab = logits.cols();
        double temperature = params.temperature() > 0 ? params.temperature() : 1;
        double[] p = new double[vocab];
        double max = Double.NEGATIVE_INFINITY;
        for (int x = 0; x < vocab; x++) {
            max = Math.max(max, TestTensors.get(logits, row, x) / temperature);
        }
        for (int x = 0; x < vocab; x++) {
            p[x] = Math.exp(TestTensors.get(logits, row, x) / temperature - max);
        }
        int[] order = IntStream.range(0, vocab).boxed().sorted(Comparator.comparingDouble((Integer x) -> -p[x])).mapToInt(i -> i).toArray();
        int keep = params.topK() > 0 ? Math.min(params.topK(), vocab) : vocab;
        double total = 0;
        for (int i = 0; i < keep; i++) {
            total += p[order[i]];
        }
        if (params.topP() < 1) {
            double sum = 0;
            int count = 0;
            while (count < keep && sum < params.topP() * total) {
                sum += p[order[count++]];
            }
            keep = Math.max(1, count);
        }
        double sum = 0;
        for (int i = 0; i < vocab; i++) {
            if (i >= keep) {
                p[order[i]] = 0;
            }
            sum += p[order[i]];
        }
        for (int x = 0; x < vocab; x++) {
            p[x] /= sum;
        }
        return p;
    }

    @ParameterizedTest
    @CsvSource({"1, 0, 1", "0.6, 0, 1", "1, 5, 1", "1, 0, 0.8", "1.3, 9, 0.5", "0, 0, 1", "1, 1, 1", "1, 0, 0.0001"})
    void drawsTheArgmaxOfPerturbedLogProbabilities(float temperature, int topK, float topP) {
        SamplingParams params = new SamplingParams(temperature, topK, topP);
        for (int vocab : new int[] {2, 17, 50, 401, 1271}) {
            int rows = 41;
            try (TestTensors t = new TestTensors(vocab)) {
                Tensor logits = t.normal(rows, vocab, 3, 2);
                RowBatch batch = batch(t, rows, 5);
                Tensor tokens = t.poisonedInts(1, rows);
                Tensor logProbs = t.poisoned(1, rows);
                OPS.sample(logits, batch, params, 9, tokens, logProbs, rows);
                for (int r = 0; r < rows; r++) {
                    double[] p = filtered(logits, r, params);
                    int best = -1;
                    double top = Double.NEGATIVE_INFINITY;
                    for (int x = 0; x < vocab; x++) {
                        double value = Math.log(p[x]) + (temperature > 0 ? NoiseField.at(9, 77, 5 + r + 1, x) : 0);
                        if (value > top + 1e-6) {
                            top = value;
                            best = x;
                        }
                    }
                    assertEquals(best, TestTensors.getInt(tokens, 0, r), "row " + r + " of " + vocab);
                    assertEquals(Math.log(p[best]), TestTensors.get(logProbs, 0, r), 1e-4);
                }
                t.checkGuards();
            }
        }
    }

    /** A million draws at different positions of one request against the softmax, at one in ten thousand. */
    @Test
    void drawsFollowTheSoftmax() {
        int vocab = 50;
        int rows = 1000;
        try (TestTensors t = new TestTensors(21)) {
            Tensor one = t.normal(1, vocab, 0, 1.5);
            Tensor logits = t.poisoned(rows, vocab);
            Tensor zeros = t.ints(new int[rows]);
            OPS.copyRows(one, zeros, logits, null, rows);
            RowBatch batch = batch(t, rows, 0);
            Tensor tokens = t.poisonedInts(1, rows);
            Tensor logProbs = t.poisoned(1, rows);
            long[] counts = new long[vocab];
            for (int round = 0; round < 1000; round++) {
                for (int r = 0; r < rows; r++) {
                    batch.positions().host().host().setAtIndex(ValueLayout.JAVA_INT, r, round * rows + r);
                }
                OPS.sample(logits, batch, SamplingParams.temperature(1f), 4, tokens, logProbs, rows);
                for (int r = 0; r < rows; r++) {
                    counts[TestTensors.getInt(tokens, 0, r)]++;
                }
            }
            double[] p = filtered(one, 0, SamplingParams.temperature(1f));
            for (double chance : p) {
                assertTrue(1e6 * chance > 5, "every cell is large enough");
            }
            double chi = Softmaxes.chiSquare(counts, p);
            double bound = Softmaxes.chiSquareBound(vocab - 1);
            System.out.printf(Locale.ROOT, "chi-square of a million draws, %d degrees of freedom: %.1f, bound %.1f%n", vocab - 1, chi,
                bound);
            assertTrue(chi < bound, "chi-square " + chi + " over " + bound + ", seed 4");
        }
    }

    @Test
    void brokenLogitsAreRefused() {
        try (TestTensors t = new TestTensors(22)) {
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
                Tensor logits = t.normal(2, 9);
                TestTensors.set(logits, 1, 4, bad);
                assertThrows(IllegalStateException.class, () -> OPS.sample(logits, batch(t, 2, 0), SamplingParams.temperature(1f), 4,
                    t.poisonedInts(1, 2), t.poisoned(1, 2), 2));
            }
        }
    }
}

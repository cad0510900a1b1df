package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;

/** Sampling for many requests at once, its filters under ties, its distribution, and what broken logits do. */
class CpuSamplingEdgesTest {
    private static final Ops OPS = SharedOps.on(2);
    private static final long[] REQUEST_IDS = {0, 1, -1, 1L << 32, (1L << 32) + 1, Long.MIN_VALUE, 77};

    /** Rows of {@link #REQUEST_IDS} in turn; several rows of a request share a position, as siblings in a tree do. */
    private static RowBatch batch(TestTensors t, int rows) {
        RowBatch batch = RowBatch.allocate(t.arena(), rows, REQUEST_IDS.length);
        for (int r = 0; r < REQUEST_IDS.length; r++) {
            TestMirrors.putLong(batch.requestIds(), 0, r, REQUEST_IDS[r]);
        }
        for (int row = 0; row < rows; row++) {
            TestMirrors.put(batch.rowRequests(), 0, row, row / 5 % REQUEST_IDS.length);
            TestMirrors.put(batch.positions(), 0, row, 1000 + row / 2 % 3);
        }
        return batch;
    }

    @ParameterizedTest
    @CsvSource({"1, 0, 1", "0.7, 5, 0.9", "2.5, 0, 0.3", "1, 3, 1", "100, 0, 1", "0.01, 0, 1", "0, 4, 0.5"})
    void requestsDrawByTheirOwnNoise(float temperature, int topK, float topP) {
        SamplingParams params = new SamplingParams(temperature, topK, topP);
        long seed = 0x5eed_0000_0001L;
        try (TestTensors t = new TestTensors(800); Closeness close = new Closeness("log-probs of draws, " + params, 800)) {
            for (int vocab : new int[] {2, 9, 50, 401}) {
                int rows = 71;
                Tensor logits = t.normal(rows, vocab, 3, 2);
                RowBatch batch = batch(t, rows);
                Tensor tokens = t.poisonedInts(1, rows);
                Tensor logProbs = t.poisoned(1, rows);
                OPS.sample(logits, batch, params, seed, tokens, logProbs, rows);
                for (int r = 0; r < rows; r++) {
                    long request = REQUEST_IDS[TestMirrors.get(batch.rowRequests(), 0, r)];
                    int position = TestMirrors.get(batch.positions(), 0, r) + 1;
                    double[] logs = Softmaxes.filtered(Differences.row(logits, r), params);
                    double[] values = logs.clone();
                    for (int x = 0; x < vocab && temperature > 0; x++) {
                        values[x] += NoiseField.at(seed, request, position, x);
                    }
                    int got = TestTensors.getInt(tokens, 0, r);
                    double top = Arrays.stream(values).max().orElseThrow();
                    // Rounding may swap two values this close, and nothing else may.
                    assertTrue(values[got] >= top - 1e-4, "row " + r + " of " + vocab + " drew " + got + ", seed 800");
                    close.check(logs[got], TestTensors.get(logProbs, 0, r), 1e-4, "row " + r + " of " + vocab);
                }
                t.checkGuards();
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void bitsOfARowAreItsOwn(int threads) {
        Ops one = SharedOps.on(1);
        Ops many = SharedOps.on(threads);
        int rows = 83;
        List<SamplingParams> all = List.of(SamplingParams.GREEDY, SamplingParams.temperature(1f), new SamplingParams(0.8f, 20, 0.9f));
        try (TestTensors t = new TestTensors(801)) {
            for (int vocab : new int[] {7, 333}) {
                Tensor logits = t.normal(rows, vocab, 0, 2);
                RowBatch batch = batch(t, rows);
                RowBatch single = RowBatch.allocate(t.arena(), 1, 1);
                for (SamplingParams params : all) {
                    Tensor tokens = t.poisonedInts(1, rows);
                    Tensor logProbs = t.poisoned(1, rows);
                    many.sample(logits, batch, params, 3, tokens, logProbs, rows);
                    Tensor token = t.poisonedInts(1, 1);
                    Tensor logProb = t.poisoned(1, 1);
                    for (int r = 0; r < rows; r++) {
                        TestMirrors.put(single.positions(), 0, 0, TestMirrors.get(batch.positions(), 0, r));
                        TestMirrors.putLong(single.requestIds(), 0, 0, REQUEST_IDS[TestMirrors.get(batch.rowRequests(), 0, r)]);
                        one.sample(logits.rows(r, r + 1), single, params, 3, token, logProb, 1);
                        assertEquals(TestTensors.getInt(token, 0, 0), TestTensors.getInt(tokens, 0, r), "row " + r + ", seed 801");
                        t.assertSameBits(logProb, logProbs.columns(r, r + 1));
                    }
                }
            }
            t.checkGuards();
        }
    }

    /** Of equal logits the smaller tokens stay, and all that stay are drawn, each with its share. */
    @ParameterizedTest
    @CsvSource({"3, 1, 3", "0, 0.45, 5", "7, 0.5, 4", "0, 1, 10", "1, 1, 1", "99, 1, 10", "0, 0.00001, 1"})
    void tiesKeepTheSmallerTokens(int topK, float topP, int kept) {
        int vocab = 10;
        int rows = 1000;
        try (TestTensors t = new TestTensors(802)) {
            Tensor logits = t.poisoned(rows, vocab);
            OPS.fill(logits, -3.25f);
            RowBatch batch = RowBatch.allocate(t.arena(), rows, 1);
            for (int r = 0; r < rows; r++) {
                TestMirrors.put(batch.positions(), 0, r, r);
            }
            Tensor tokens = t.poisonedInts(1, rows);
            Tensor logProbs = t.poisoned(1, rows);
            OPS.sample(logits, batch, new SamplingParams(0.5f, topK, topP), 4, tokens, logProbs, rows);
            boolean[] drawn = new boolean[vocab];
            for (int r = 0; r < rows; r++) {
                drawn[TestTensors.getInt(tokens, 0, r)] = true;
                assertEquals(-Math.log(kept), TestTensors.get(logProbs, 0, r), 1e-6);
            }
            for (int x = 0; x < vocab; x++) {
                assertEquals(x < kept, drawn[x], "token " + x);
            }
            OPS.sample(logits, batch, new SamplingParams(0f, topK, topP), 4, tokens, logProbs, 1);
            assertEquals(0, TestTensors.getInt(tokens, 0, 0), "greedy ties go to the smaller token");
            assertEquals(-Math.log(vocab), TestTensors.get(logProbs, 0, 0), 1e-6, "greedy log-probabilities know no filters");
        }
    }

    /** Draws under filters against the filtered distribution, requests and positions counting; at one in ten thousand. */
    @Test
    void filteredDrawsFollowTheirDistribution() {
        SamplingParams params = new SamplingParams(0.7f, 20, 0.9f);
        int vocab = 50;
        int rows = 500;
        try (TestTensors t = new TestTensors(803)) {
            Tensor one = t.normal(1, vocab);
            Tensor logits = t.poisoned(rows, vocab);
            OPS.copyRows(one, t.ints(new int[rows]), logits, null, rows);
            RowBatch batch = RowBatch.allocate(t.arena(), rows, rows);
            Tensor tokens = t.poisonedInts(1, rows);
            Tensor logProbs = t.poisoned(1, rows);
            long[] counts = new long[vocab];
            for (int round = 0; round < 200; round++) {
                for (int r = 0; r < rows; r++) {
                    TestMirrors.put(batch.rowRequests(), 0, r, r);
                    TestMirrors.putLong(batch.requestIds(), 0, r, (long) r << 31);
                    TestMirrors.put(batch.positions(), 0, r, round);
                }
                OPS.sample(logits, batch, params, 5, tokens, logProbs, rows);
                for (int r = 0; r < rows; r++) {
                    counts[TestTensors.getInt(tokens, 0, r)]++;
                }
            }
            double[] p = Arrays.stream(Softmaxes.filtered(Differences.row(one, 0), params)).map(Math::exp).toArray();
            int cells = (int) Arrays.stream(p).filter(v -> v > 0).count();
            assertTrue(cells > 5 && cells < 20, "both filters are at work: " + cells);
            double chi = Softmaxes.chiSquare(counts, p);
            double bound = Softmaxes.chiSquareBound(cells - 1);
            System.out.printf(Locale.ROOT, "chi-square of filtered draws, %d cells: %.1f %% of tolerance used%n", cells, 100 * chi / bound);
            assertTrue(chi < bound, "chi-square " + chi + " over " + bound + ", seed 5");
        }
    }

    /** Neighbouring positions and sibling requests draw independently: pairs follow the product of the softmax with itself. */
    @ParameterizedTest
    @ValueSource(strings = {"positions", "requests", "seeds"})
    void drawsAreIndependent(String along) {
        int vocab = 7;
        int rows = 50_000;
        try (TestTensors t = new TestTensors(804)) {
            Tensor one = t.normal(1, vocab);
            Tensor logits = t.poisoned(rows, vocab);
            OPS.copyRows(one, t.ints(new int[rows]), logits, null, rows);
            RowBatch batch = RowBatch.allocate(t.arena(), rows, 1);
            Tensor logProbs = t.poisoned(1, rows);
            Tensor[] tokens = {t.poisonedInts(1, rows), t.poisonedInts(1, rows)};
            for (int side = 0; side < 2; side++) {
                for (int r = 0; r < rows; r++) {
                    TestMirrors.put(batch.positions(), 0, r, 2 * r + (along.equals("positions") ? side : 0));
                }
                TestMirrors.putLong(batch.requestIds(), 0, 0, along.equals("requests") ? 6 + side : 6);
                OPS.sample(logits, batch, SamplingParams.temperature(1f), along.equals("seeds") ? 8 + side : 8, tokens[side], logProbs,
                    rows);
            }
            double[] logs = Softmaxes.logSoftmax(Differences.row(one, 0), 1);
            double[] p = new double[vocab * vocab];
            for (int i = 0; i < p.length; i++) {
                p[i] = Math.exp(logs[i / vocab] + logs[i % vocab]);
                assertTrue(p[i] * rows > 5, "every cell is large enough");
            }
            long[] counts = new long[p.length];
            for (int r = 0; r < rows; r++) {
                counts[TestTensors.getInt(tokens[0], 0, r) * vocab + TestTensors.getInt(tokens[1], 0, r)]++;
            }
            double chi = Softmaxes.chiSquare(counts, p);
            double bound = Softmaxes.chiSquareBound(p.length - 1);
            System.out.printf(Locale.ROOT, "chi-square of pairs along %s: %.1f %% of tolerance used%n", along, 100 * chi / bound);
            assertTrue(chi < bound, "chi-square " + chi + " over " + bound + ", seed 8");
        }
    }

    /** Masked tokens have probability 0: never drawn at any temperature, and the others share what is left. */
    @ParameterizedTest
    @ValueSource(floats = {0f, 0.5f, 1f, 100f})
    void maskedTokensAreNeverDrawn(float temperature) {
        int vocab = 21;
        int rows = 200;
        try (TestTensors t = new TestTensors(805)) {
            Tensor logits = t.normal(rows, vocab, 1, 1);
            for (int r = 0; r < rows; r++) {
                for (int x = 0; x < vocab; x++) {
                    if (x % 5 != r % 5) {
                        TestTensors.set(logits, r, x, Float.NEGATIVE_INFINITY);
                    }
                }
            }
            Tensor tokens = t.poisonedInts(1, rows);
            Tensor logProbs = t.poisoned(1, rows);
            OPS.sample(logits, batch(t, rows), SamplingParams.temperature(temperature), 4, tokens, logProbs, rows);
            for (int r = 0; r < rows; r++) {
                int token = TestTensors.getInt(tokens, 0, r);
                assertEquals(r % 5, token % 5, "row " + r + ", seed 805");
                double want = Softmaxes.logSoftmax(Differences.row(logits, r), temperature)[token];
                assertEquals(want, TestTensors.get(logProbs, 0, r), 1e-5);
            }
            t.checkGuards();
        }
    }

    /** A NaN or an infinity at any place of any row, whatever the vector lane it falls into. */
    @Test
    void brokenLogitsRaiseWhereverTheyAre() {
        int vocab = 37;
        List<SamplingParams> all = List.of(SamplingParams.GREEDY, SamplingParams.temperature(1f), new SamplingParams(1f, 5, 1f),
            new SamplingParams(1f, 0, 0.5f));
        try (TestTensors t = new TestTensors(806)) {
            Tensor logits = t.normal(3, vocab);
            RowBatch batch = batch(t, 3);
            Tensor tokens = t.poisonedInts(1, 3);
            Tensor out = t.poisoned(1, 3);
            Tensor ids = t.poisonedInts(3, 2);
            Tensor tops = t.poisoned(3, 2);
            Tensor ones = t.of(new float[] {1, 1, 1}, 1, 3, 0);
            Tensor rows = t.ints(0, 1, 2);
            for (float bad : new float[] {Float.NaN, Float.intBitsToFloat(0xffc00001), Float.POSITIVE_INFINITY}) {
                for (int at = 0; at < 3 * vocab; at++) {
                    float old = TestTensors.get(logits, at / vocab, at % vocab);
                    TestTensors.set(logits, at / vocab, at % vocab, bad);
                    String where = bad + " in row " + at / vocab + ", token " + at % vocab;
                    for (SamplingParams params : all) {
                        raises(() -> OPS.sample(logits, batch, params, 4, tokens, out, 3), where);
                    }
                    raises(() -> OPS.logProbs(logits, rows, 1f, out, 3), where);
                    raises(() -> OPS.topLogProbs(logits, 1f, rows, 3, ids, tops, out), where);
                    Tensor copy = t.of(TestTensors.floats(logits), 3, vocab, 0);
                    raises(() -> OPS.logProbsBackward(copy, rows, 1f, ones, 3), where);
                    TestTensors.set(logits, at / vocab, at % vocab, old);
                }
            }
            OPS.fill(logits.rows(1, 2), Float.NEGATIVE_INFINITY);
            raises(() -> OPS.sample(logits, batch, SamplingParams.temperature(1f), 4, tokens, out, 3), "a row without tokens");
        }
    }

    private static void raises(Executable call, String where) {
        assertThrows(IllegalStateException.class, call, where);
    }

    /** Chosen rows in any order, ties, all tokens named, and temperatures, against a stable sort of doubles. */
    @ParameterizedTest
    @CsvSource({"1,1,1", "2,1,0", "9,9,1", "50,16,0.6", "50,49,2", "401,16,1"})
    void topLogProbs(int vocab, int k, float temperature) {
        int rows = 31;
        long seed = 900 + vocab + k;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("topLogProbs " + k + " of " + vocab, seed)) {
            Tensor logits = t.normal(rows, vocab, 3, 2);
            // Coarse values, so that many are equal.
            for (int i = 0; i < rows * vocab; i++) {
                TestTensors.set(logits, i / vocab, i % vocab, Math.round(2 * TestTensors.get(logits, i / vocab, i % vocab)) * 0.5f);
            }
            int count = 40;
            Tensor indices = t.randomInts(count, rows);
            Tensor ids = t.poisonedInts(count, k);
            Tensor logProbs = t.poisoned(count, k, 2);
            Tensor tails = t.poisoned(1, count);
            OPS.topLogProbs(logits, temperature, indices, count, ids, logProbs, tails);
            for (int i = 0; i < count; i++) {
                double[] logs = Softmaxes.logSoftmax(Differences.row(logits, TestTensors.getInt(indices, 0, i)), temperature);
                int[] order = Softmaxes.order(logs);
                double rest = 0;
                for (int x = k; x < vocab; x++) {
                    rest += Math.exp(logs[order[x]]);
                }
                for (int x = 0; x < k; x++) {
                    assertEquals(order[x], TestTensors.getInt(ids, i, x), "place " + x + " of row " + i + ", seed " + seed);
                    close.check(logs[order[x]], TestTensors.get(logProbs, i, x), 1e-5, "log-probability");
                }
                float tail = TestTensors.get(tails, 0, i);
                assertTrue(tail >= -30, "tail " + tail);
                close.check(rest, Math.exp(tail), 2e-6, "tail mass");
            }
            OPS.topLogProbs(logits, temperature, indices, 0, ids, logProbs, tails);
            t.checkGuards();
        }
    }

    @Test
    void wrongTopsAreRefused() {
        try (TestTensors t = new TestTensors(807)) {
            Tensor logits = t.normal(3, 5);
            Tensor ids = t.poisonedInts(2, 4);
            Tensor logProbs = t.poisoned(2, 4);
            Tensor tails = t.poisoned(1, 2);
            assertThrows(IllegalArgumentException.class, () -> OPS.topLogProbs(logits, 1f, t.ints(0, 3), 2, ids, logProbs, tails),
                "row 3 of 3");
            assertThrows(IllegalArgumentException.class, () -> OPS.topLogProbs(logits, 1f, t.ints(0, -1), 2, ids, logProbs, tails));
            assertThrows(IllegalArgumentException.class, () -> OPS.topLogProbs(logits, 1f, t.ints(0, 1, 2), 3, ids, logProbs, tails));
            assertThrows(IllegalArgumentException.class,
                () -> OPS.topLogProbs(logits, 1f, t.ints(0), 1, t.poisonedInts(1, 6), t.poisoned(1, 6), tails), "six of five tokens");
            assertThrows(IllegalArgumentException.class,
                () -> OPS.topLogProbs(logits, 1f, t.ints(0), 1, t.poisonedInts(1, 3), logProbs, tails), "different widths");
            t.checkGuards();
        }
    }
}

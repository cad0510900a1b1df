package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;

/** Training-time attention over packed sequences and unrolled draft steps: doubles, differences, and the bits of drafting itself. */
class CpuChainAttentionTest {
    private static final int[] STARTS = {0, 1, 6, 6, 25};
    private static final int ROWS = 25;
    private static final int SEQUENCES = STARTS.length - 1;
    private static final Ops OPS = SharedOps.on(2);

    /** Sequences of 1, 5, no and 19 rows. */
    private static Spans spans(TestTensors t) {
        Spans spans = Spans.allocate(t.arena(), ROWS, SEQUENCES);
        for (int s = 0; s < SEQUENCES; s++) {
            for (int r = STARTS[s]; r < STARTS[s + 1]; r++) {
                TestMirrors.put(spans.rowStarts(), 0, r, STARTS[s]);
                TestMirrors.put(spans.positions(), 0, r, r - STARTS[s]);
            }
        }
        for (int s = 0; s <= SEQUENCES; s++) {
            TestMirrors.put(spans.starts(), 0, s, STARTS[s]);
        }
        return spans;
    }

    private static Tensor[] steps(TestTensors t, AttentionShape shape, int count) {
        Tensor[] steps = new Tensor[count];
        for (int s = 0; s < count; s++) {
            steps[s] = t.normal(ROWS, shape.fusedWidth(), s, 1);
        }
        return steps;
    }

    private static int startOf(int row) {
        int start = 0;
        for (int s : STARTS) {
            start = s <= row ? s : start;
        }
        return start;
    }

    /** One row's attention in doubles; {@code steps[s]} holds all rows of step s, one after another. */
    private static double[] attend(double[][] steps, int depth, AttentionShape shape, int row) {
        int dim = shape.headDim();
        int width = shape.fusedWidth();
        int start = startOf(row);
        int keys = row - start + 1 + depth;
        double[] out = new double[shape.queryWidth()];
        for (int h = 0; h < shape.heads(); h++) {
            int key = shape.queryWidth() + h / shape.group() * dim;
            double[] scores = new double[keys];
            double sum = 0;
            for (int k = 0; k < keys; k++) {
                double[] step = k <= row - start ? steps[0] : steps[k - (row - start)];
                int at = (k <= row - start ? start + k : row) * width;
                for (int i = 0; i < dim; i++) {
                    scores[k] += steps[depth][row * width + h * dim + i] * step[at + key + i];
                }
                scores[k] = Math.exp(scores[k] / Math.sqrt(dim));
                sum += scores[k];
            }
            for (int k = 0; k < keys; k++) {
                double[] step = k <= row - start ? steps[0] : steps[k - (row - start)];
                int at = (k <= row - start ? start + k : row) * width;
                for (int i = 0; i < dim; i++) {
                    out[h * dim + i] += scores[k] / sum * step[at + key + shape.kvWidth() + i];
                }
            }
        }
        return out;
    }

    private static double[][] widen(Tensor[] tensors) {
        double[][] wide = new double[tensors.length][];
        for (int s = 0; s < tensors.length; s++) {
            float[] values = TestTensors.floats(tensors[s]);
            wide[s] = new double[values.length];
            for (int i = 0; i < values.length; i++) {
                wide[s][i] = values[i];
            }
        }
        return wide;
    }

    @ParameterizedTest
    @CsvSource({"0,1,1,8", "1,4,2,6", "2,4,1,34", "3,2,2,64", "7,4,2,16"})
    void agreesWithDoubles(int depth, int heads, int kvHeads, int dim) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        long seed = 200 + depth;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("chainAttention, depth " + depth, seed)) {
            Tensor[] steps = steps(t, shape, depth + 1);
            double[][] wide = widen(steps);
            double[] want = new double[ROWS * shape.queryWidth()];
            for (int r = 0; r < ROWS; r++) {
                System.arraycopy(attend(wide, depth, shape, r), 0, want, r * shape.queryWidth(), shape.queryWidth());
            }
            Tensor out = t.poisoned(ROWS, shape.queryWidth(), 3);
            OPS.chainAttention(steps, depth, shape, spans(t), SEQUENCES, out, ROWS);
            close.check(want, out, 1e-5, 2e-6);
            t.checkGuards();
        }
    }

    /**
     * Every training row against the cache it stands for: the sequence up to it committed, its draft steps in flight, between
     * siblings that are another branch's and hold NaN.
     */
    @ParameterizedTest
    @CsvSource({"0,4,2,8,4", "1,2,2,6,4", "3,4,1,34,16", "7,2,1,16,5"})
    void bitsAreThoseOfDrafting(int depth, int heads, int kvHeads, int dim, int pageSize) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        try (TestTensors t = new TestTensors(300 + depth)) {
            Tensor[] steps = steps(t, shape, depth + 1);
            Tensor trained = t.poisoned(ROWS, shape.queryWidth());
            OPS.chainAttention(steps, depth, shape, spans(t), SEQUENCES, trained, ROWS);
            KvStore kv = TestMirrors.scattered(t, shape, 1, pageSize, ROWS, 40 / pageSize + 1);
            RowBatch batch = RowBatch.allocate(t.arena(), 64, ROWS);
            Tensor queries = t.poisoned(ROWS, shape.fusedWidth());
            Tensor drafted = t.poisoned(ROWS, shape.queryWidth());
            for (int r = 0; r < ROWS; r++) {
                int start = startOf(r);
                int context = r - start + 1;
                TestMirrors.put(batch.sequences(), 0, r, r);
                TestMirrors.put(batch.committed(), 0, r, context);
                for (int i = 0; i < context; i++) {
                    TestMirrors.row(batch, kv, i, r, i, i + 1, 0);
                }
                OPS.kvAppend(steps[0].rows(start, r + 1), shape, kv, 0, batch, context);
                for (int d = 1; d <= depth; d++) {
                    TestMirrors.row(batch, kv, 0, r, context + 2 * d, 0, 0);
                    OPS.kvAppend(steps[d].rows(r, r + 1), shape, kv, 0, batch, 1);
                }
                OPS.copy(steps[depth].rows(r, r + 1), queries.rows(r, r + 1), 1);
            }
            for (int r = 0; r < ROWS; r++) {
                int context = r - startOf(r) + 1;
                long mask = 0;
                for (int d = 1; d <= depth; d++) {
                    mask |= 1L << 2 * d;
                }
                TestMirrors.row(batch, kv, r, r, 0, context, mask);
            }
            OPS.treeAttention(queries, shape, kv, 0, batch, ROWS, drafted, ROWS);
            t.assertSameBits(trained, drafted);
            t.checkGuards();
        }
    }

    @ParameterizedTest
    @CsvSource({"0,4,2,2", "1,2,1,6", "3,2,2,4", "2,1,1,10"})
    void gradientAgreesWithDifferences(int depth, int heads, int kvHeads, int dim) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        long seed = 400 + depth;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("chainAttentionBackward, depth " + depth, seed)) {
            Tensor[] steps = steps(t, shape, depth + 1);
            Tensor[] gradients = steps(t, shape, depth + 1);
            double[][] wide = widen(steps);
            double[][] want = widen(gradients);
            Tensor dOut = t.normal(ROWS, shape.queryWidth(), 1, 1);
            int width = shape.fusedWidth();
            for (int s = 0; s <= depth; s++) {
                for (int r = 0; r < ROWS; r++) {
                    // What this row of this step can change: later rows of the sequence for step 0, else the row itself.
                    int last = s > 0 ? r : endOf(r) - 1;
                    double[] at = new double[width];
                    System.arraycopy(wide[s], r * width, at, 0, width);
                    int step = s;
                    int row = r;
                    double[] slope = Differences.gradient(at, v -> {
                        System.arraycopy(v, 0, wide[step], row * width, width);
                        double sum = 0;
                        for (int i = row; i <= last; i++) {
                            double[] out = attend(wide, depth, shape, i);
                            for (int c = 0; c < out.length; c++) {
                                sum += out[c] * TestTensors.get(dOut, i, c);
                            }
                        }
                        return sum;
                    });
                    System.arraycopy(at, 0, wide[s], r * width, width);
                    for (int c = 0; c < width; c++) {
                        want[s][r * width + c] += slope[c];
                    }
                }
            }
            Tensor[] before = new Tensor[depth + 1];
            for (int s = 0; s <= depth; s++) {
                before[s] = t.copy(gradients[s]);
            }
            OPS.chainAttentionBackward(steps, depth, shape, spans(t), SEQUENCES, dOut, gradients, ROWS);
            for (int s = 0; s <= depth; s++) {
                close.check(want[s], gradients[s], 1e-5, 1e-5);
                if (s < depth) {
                    t.assertSameBits(before[s].columns(0, shape.queryWidth()), gradients[s].columns(0, shape.queryWidth()));
                }
            }
            t.checkGuards();
        }
    }

    private static int endOf(int row) {
        int end = ROWS;
        for (int s = SEQUENCES; s > 0; s--) {
            end = STARTS[s] > row ? STARTS[s] : end;
        }
        return end;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void threadsDoNotChangeBits(int threads) {
        AttentionShape shape = new AttentionShape(6, 3, 10);
        Ops one = SharedOps.on(1);
        Ops many = SharedOps.on(threads);
        try (TestTensors t = new TestTensors(500)) {
            Tensor[] steps = steps(t, shape, 3);
            Tensor dOut = t.normal(ROWS, shape.queryWidth());
            Tensor[] outs = {t.poisoned(ROWS, shape.queryWidth()), t.poisoned(ROWS, shape.queryWidth())};
            Tensor[][] gradients = {steps(t, shape, 3), new Tensor[3]};
            for (int s = 0; s < 3; s++) {
                gradients[1][s] = t.copy(gradients[0][s]);
            }
            for (int side = 0; side < 2; side++) {
                Ops on = side == 0 ? one : many;
                on.chainAttention(steps, 2, shape, spans(t), SEQUENCES, outs[side], ROWS);
                on.chainAttentionBackward(steps, 2, shape, spans(t), SEQUENCES, dOut, gradients[side], ROWS);
            }
            t.assertSameBits(outs[0], outs[1]);
            for (int s = 0; s < 3; s++) {
                t.assertSameBits(gradients[0][s], gradients[1][s]);
            }
            t.checkGuards();
        }
    }

    /** A sequence has the same bits whether it is packed behind others or stands alone, and an empty pass is legal. */
    @Test
    void packingDoesNotChangeBits() {
        AttentionShape shape = new AttentionShape(4, 2, 8);
        try (TestTensors t = new TestTensors(501)) {
            Tensor[] steps = steps(t, shape, 2);
            Tensor packed = t.poisoned(ROWS, shape.queryWidth());
            OPS.chainAttention(steps, 1, shape, spans(t), SEQUENCES, packed, ROWS);
            Spans alone = Spans.allocate(t.arena(), ROWS, 1);
            int rows = ROWS - 6;
            TestMirrors.put(alone.starts(), 0, 1, rows);
            Tensor out = t.poisoned(rows, shape.queryWidth());
            OPS.chainAttention(new Tensor[] {steps[0].rows(6, ROWS), steps[1].rows(6, ROWS)}, 1, shape, alone, 1, out, rows);
            t.assertSameBits(packed.rows(6, ROWS), out);
            Spans none = Spans.allocate(t.arena(), 1, 1);
            Tensor untouched = t.copy(out);
            OPS.chainAttention(steps, 1, shape, none, 0, out, 0);
            OPS.chainAttentionBackward(steps, 1, shape, none, 0, out, steps, 0);
            t.assertSameBits(untouched, out);
            t.checkGuards();
        }
    }

    @Test
    void brokenSpansAreRefused() {
        AttentionShape shape = new AttentionShape(1, 1, 4);
        try (TestTensors t = new TestTensors(502)) {
            Tensor[] steps = steps(t, shape, 2);
            Tensor out = t.poisoned(ROWS, shape.queryWidth());
            Spans falling = spans(t);
            TestMirrors.put(falling.starts(), 0, 1, 7);
            assertThrows(IllegalArgumentException.class, () -> OPS.chainAttention(steps, 0, shape, falling, SEQUENCES, out, ROWS));
            Spans ahead = spans(t);
            TestMirrors.put(ahead.rowStarts(), 0, 3, 4);
            assertThrows(IllegalArgumentException.class, () -> OPS.chainAttention(steps, 0, shape, ahead, SEQUENCES, out, ROWS));
            Spans good = spans(t);
            assertThrows(IllegalArgumentException.class, () -> OPS.chainAttention(steps, 2, shape, good, SEQUENCES, out, ROWS));
            assertThrows(IllegalArgumentException.class, () -> OPS.chainAttention(steps, -1, shape, good, SEQUENCES, out, ROWS));
            assertThrows(IllegalArgumentException.class, () -> OPS.chainAttention(steps, 0, shape, good, SEQUENCES - 1, out, ROWS));
            assertThrows(IllegalArgumentException.class, () -> OPS.chainAttention(steps, 0, shape, good, SEQUENCES, out, ROWS - 1));
            t.checkGuards();
        }
    }
}

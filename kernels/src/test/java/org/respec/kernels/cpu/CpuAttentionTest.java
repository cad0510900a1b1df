package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;

/** Attention over pages and trees against double loops; and that decoding, verifying and training see the same bits. */
class CpuAttentionTest {
    private static final Ops OPS = SharedOps.on(2);

    private static void put(HostMirror mirror, long index, int value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_INT, index, value);
    }

    private static void putLong(HostMirror mirror, long index, long value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_LONG, index, value);
    }

    /** A cache in which the pages of every sequence are scattered, filled with NaN so that a stray read shows. */
    private static KvStore store(TestTensors t, AttentionShape shape, int layers, int pageSize, int sequences, int pagesEach) {
        KvLayout layout = new KvLayout(DType.F32, layers, shape.kvHeads(), shape.headDim(), pageSize, sequences * pagesEach + 3);
        Tensor data = t.poisoned(layout.rows(), layout.cols());
        HostMirror table = t.arena().mirror(DType.I32, sequences, pagesEach);
        int[] pages = new int[layout.pages()];
        for (int i = 0; i < pages.length; i++) {
            pages[i] = i;
        }
        for (int i = pages.length - 1; i > 0; i--) {
            int j = t.random().nextInt(i + 1);
            int swap = pages[i];
            pages[i] = pages[j];
            pages[j] = swap;
        }
        for (int i = 0; i < sequences * pagesEach; i++) {
            put(table, i, pages[i]);
        }
        return new KvStore(layout, data, table);
    }

    private static int slot(KvStore kv, int sequence, int place) {
        int size = kv.layout().pageSize();
        int width = kv.pageTable().host().cols();
        int page = kv.pageTable().host().host().getAtIndex(ValueLayout.JAVA_INT, (long) sequence * width + place / size);
        return page * size + place % size;
    }

    private static void row(RowBatch batch, KvStore kv, int row, int request, int place, int context, long mask) {
        put(batch.slots(), row, slot(kv, request, place));
        put(batch.contexts(), row, context);
        putLong(batch.masks(), row, mask);
        put(batch.rowRequests(), row, request);
        put(batch.positions(), row, place);
    }

    private static double[] attention(Tensor q, int row, int head, AttentionShape shape, double[][] keys, double[][] values,
                                      boolean[] sees) {
        int dim = shape.headDim();
        double[] scores = new double[keys.length];
        double max = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < keys.length; k++) {
            if (sees[k]) {
                for (int i = 0; i < dim; i++) {
                    scores[k] += TestTensors.get(q, row, head * dim + i) * keys[k][i];
                }
                scores[k] /= Math.sqrt(dim);
                max = Math.max(max, scores[k]);
            }
        }
        double[] out = new double[dim];
        double sum = 0;
        for (int k = 0; k < keys.length; k++) {
            if (sees[k]) {
                double p = Math.exp(scores[k] - max);
                sum += p;
                for (int i = 0; i < dim; i++) {
                    out[i] += p * values[k][i];
                }
            }
        }
        for (int i = 0; i < dim; i++) {
            out[i] /= sum;
        }
        return out;
    }

    @ParameterizedTest
    @CsvSource({"1,1,8,4", "4,2,8,16", "4,1,6,5", "2,2,34,3", "8,2,64,16"})
    void treesAgreeWithDoubles(int heads, int kvHeads, int dim, int pageSize) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        int requests = 3;
        int[] committed = {0, 1, 37};
        int[] nodes = {64, 1, 17};
        int pagesEach = (37 + 64) / pageSize + 2;
        try (TestTensors t = new TestTensors(heads * 100L + dim)) {
            KvStore kv = store(t, shape, 2, pageSize, requests, pagesEach);
            RowBatch batch = RowBatch.allocate(t.arena(), 128, requests);
            int total = 37 + 1 + 82;
            Tensor qkv = t.normal(total, shape.fusedWidth(), 3, 1);
            // Committed tokens first: written as prefilled rows.
            int rows = 0;
            for (int r = 0; r < requests; r++) {
                put(batch.sequences(), r, r);
                put(batch.committed(), r, committed[r]);
                for (int place = 0; place < committed[r]; place++) {
                    row(batch, kv, rows++, r, place, place + 1, 0);
                }
            }
            OPS.kvAppend(qkv, shape, kv, 1, batch, rows);
            Tensor treeRows = qkv.rows(rows, total);
            int[] parent = new int[128];
            int at = 0;
            for (int r = 0; r < requests; r++) {
                long[] masks = new long[nodes[r]];
                for (int n = 0; n < nodes[r]; n++) {
                    parent[n] = n == 0 ? -1 : t.random().nextInt(n);
                    masks[n] = (1L << n) | (n == 0 ? 0 : masks[parent[n]]);
                    row(batch, kv, at++, r, committed[r] + n, committed[r], masks[n]);
                }
            }
            OPS.kvAppend(treeRows, shape, kv, 1, batch, at);
            Tensor out = t.poisoned(at, shape.queryWidth(), 5);
            OPS.treeAttention(treeRows, shape, kv, 1, batch, requests, out, at);
            double[] want = new double[at * shape.queryWidth()];
            int row = 0;
            int committedRow = 0;
            for (int r = 0; r < requests; r++) {
                int keysCount = committed[r] + nodes[r];
                int firstNode = row;
                for (int n = 0; n < nodes[r]; n++, row++) {
                    long mask = batch.masks().host().host().getAtIndex(ValueLayout.JAVA_LONG, row);
                    for (int h = 0; h < heads; h++) {
                        double[][] keys = new double[keysCount][dim];
                        double[][] values = new double[keysCount][dim];
                        boolean[] sees = new boolean[keysCount];
                        for (int k = 0; k < keysCount; k++) {
                            Tensor source = k < committed[r] ? qkv : treeRows;
                            int sourceRow = k < committed[r] ? committedRow + k : firstNode + k - committed[r];
                            sees[k] = k < committed[r] || (mask >>> (k - committed[r]) & 1) == 1;
                            for (int i = 0; i < dim; i++) {
                                int kvHead = h / shape.group();
                                keys[k][i] = TestTensors.get(source, sourceRow, shape.queryWidth() + kvHead * dim + i);
                                values[k][i] = TestTensors.get(source, sourceRow, shape.queryWidth() + shape.kvWidth() + kvHead * dim + i);
                            }
                        }
                        System.arraycopy(attention(treeRows, row, h, shape, keys, values, sees), 0, want,
                            row * shape.queryWidth() + h * dim, dim);
                    }
                }
                committedRow += committed[r];
            }
            t.assertClose(want, out, 1e-5, 2e-6);
            t.checkGuards();
        }
    }

    /** One chain of tokens: in a training pass, decoded one by one, prefilled in parts, and as the spine of a tree among siblings. */
    @ParameterizedTest
    @CsvSource({"4,2,8,4", "2,1,32,16", "3,3,6,5"})
    void everyWayGivesTheSameBits(int heads, int kvHeads, int dim, int pageSize) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        int length = 47;
        try (TestTensors t = new TestTensors(7 + dim)) {
            Tensor qkv = t.normal(length, shape.fusedWidth());
            Spans spans = Spans.allocate(t.arena(), length, 1);
            put(spans.starts(), 0, 0);
            put(spans.starts(), 1, length);
            for (int i = 0; i < length; i++) {
                put(spans.rowStarts(), i, 0);
                put(spans.positions(), i, i);
            }
            Tensor trained = t.poisoned(length, shape.queryWidth());
            OPS.chainAttention(new Tensor[] {qkv}, 0, shape, spans, 1, trained, length);

            KvStore kv = store(t, shape, 1, pageSize, 1, length / pageSize + 4);
            RowBatch batch = RowBatch.allocate(t.arena(), 64, 1);
            put(batch.sequences(), 0, 0);
            Tensor decoded = t.poisoned(length, shape.queryWidth());
            for (int i = 0; i < length; i++) {
                put(batch.committed(), 0, i);
                row(batch, kv, 0, 0, i, i, 1);
                OPS.kvAppend(qkv.rows(i, i + 1), shape, kv, 0, batch, 1);
                OPS.treeAttention(qkv.rows(i, i + 1), shape, kv, 0, batch, 1, decoded.rows(i, i + 1), 1);
            }
            t.assertSameBits(trained, decoded);

            KvStore prefilledKv = store(t, shape, 1, pageSize, 1, length / pageSize + 4);
            Tensor prefilled = t.poisoned(length, shape.queryWidth());
            for (int from = 0; from < length; from += 20) {
                int to = Math.min(length, from + 20);
                put(batch.committed(), 0, from);
                for (int i = from; i < to; i++) {
                    row(batch, prefilledKv, i - from, 0, i, i + 1, 0);
                }
                OPS.kvAppend(qkv.rows(from, to), shape, prefilledKv, 0, batch, to - from);
                OPS.treeAttention(qkv.rows(from, to), shape, prefilledKv, 0, batch, 1, prefilled.rows(from, to), to - from);
            }
            t.assertSameBits(trained, prefilled);

            // The last 7 tokens as every third node of a tree over 40 committed ones.
            int base = 40;
            put(batch.committed(), 0, base);
            Tensor tree = t.normal(19, shape.fusedWidth());
            long spine = 0;
            for (int n = 0; n < 19; n++) {
                boolean own = n % 3 == 0;
                row(batch, prefilledKv, n, 0, base + n, base, spine | 1L << n);
                if (own) {
                    OPS.copyRows(qkv, t.ints(base + n / 3), tree, t.ints(n), 1);
                    spine |= 1L << n;
                }
            }
            OPS.kvAppend(tree, shape, prefilledKv, 0, batch, 19);
            Tensor verified = t.poisoned(19, shape.queryWidth());
            OPS.treeAttention(tree, shape, prefilledKv, 0, batch, 1, verified, 19);
            for (int n = 0; n < 19; n += 3) {
                t.assertSameBits(trained.rows(base + n / 3, base + n / 3 + 1), verified.rows(n, n + 1));
            }
            t.checkGuards();
        }
    }

    @Test
    void chainGradientsAgreeWithDifferences() {
        AttentionShape shape = new AttentionShape(2, 1, 4);
        int rows = 7;
        int[] starts = {0, 3, 7};
        try (TestTensors t = new TestTensors(31)) {
            Spans spans = Spans.allocate(t.arena(), rows, 2);
            for (int i = 0; i < 3; i++) {
                put(spans.starts(), i, starts[i]);
            }
            for (int i = 0; i < rows; i++) {
                put(spans.rowStarts(), i, i < 3 ? 0 : 3);
                put(spans.positions(), i, i < 3 ? i : i - 3);
            }
            for (int depth = 0; depth < 3; depth++) {
                Tensor[] steps = new Tensor[depth + 1];
                Tensor[] gradients = new Tensor[depth + 1];
                for (int s = 0; s <= depth; s++) {
                    steps[s] = t.normal(rows, shape.fusedWidth());
                    gradients[s] = t.of(new float[rows * shape.fusedWidth()], rows, shape.fusedWidth(), 0);
                }
                Tensor dOut = t.normal(rows, shape.queryWidth());
                Tensor out = t.poisoned(rows, shape.queryWidth());
                OPS.chainAttentionBackward(steps, depth, shape, spans, 2, dOut, gradients, rows);
                for (int s = 0; s <= depth; s++) {
                    for (int r = 0; r < rows; r++) {
                        for (int c = s == depth ? 0 : shape.queryWidth(); c < shape.fusedWidth(); c++) {
                            float old = TestTensors.get(steps[s], r, c);
                            double[] ends = new double[2];
                            for (int side = 0; side < 2; side++) {
                                TestTensors.set(steps[s], r, c, old + (side == 0 ? 5e-3f : -5e-3f));
                                OPS.chainAttention(steps, depth, shape, spans, 2, out, rows);
                                for (int i = 0; i < rows; i++) {
                                    for (int j = 0; j < shape.queryWidth(); j++) {
                                        ends[side] += (double) TestTensors.get(out, i, j) * TestTensors.get(dOut, i, j);
                                    }
                                }
                            }
                            TestTensors.set(steps[s], r, c, old);
                            assertEquals((ends[0] - ends[1]) / 1e-2, TestTensors.get(gradients[s], r, c),
                                2e-3, "depth " + depth + ", step " + s + ", row " + r + ", column " + c);
                        }
                    }
                }
            }
            t.checkGuards();
        }
    }

    @Test
    void movesAndCopiesTouchOnlyTheirSlots() {
        AttentionShape shape = new AttentionShape(2, 2, 4);
        try (TestTensors t = new TestTensors(41)) {
            KvLayout layout = new KvLayout(DType.F32, 3, 2, 4, 4, 6);
            Tensor data = t.normal(layout.rows(), layout.cols());
            KvStore kv = new KvStore(layout, data, t.arena().mirror(DType.I32, 1, 6));
            float[] want = TestTensors.floats(data);
            SplittableRandom random = new SplittableRandom(5);
            HostMirror from = t.arena().mirror(DType.I32, 1, 5);
            HostMirror to = t.arena().mirror(DType.I32, 1, 5);
            for (int i = 0; i < 5; i++) {
                int source = random.nextInt(24);
                int target = random.nextInt(24);
                put(from, i, source);
                put(to, i, target);
                for (int layer = 0; layer < 3; layer++) {
                    for (int head = 0; head < 2; head++) {
                        for (int half = 0; half < 2; half++) {
                            long shift = half * 2 * layout.headElements();
                            System.arraycopy(want, (int) (layout.keyOffset(layer, source, head) + shift), want,
                                (int) (layout.keyOffset(layer, target, head) + shift), 4);
                        }
                    }
                }
            }
            OPS.kvMove(kv, from, to, 5);
            assertArrayEquals(want, TestTensors.floats(data));
            put(from, 0, 4);
            put(to, 0, 1);
            for (int layer = 0; layer < 3; layer++) {
                int start = (int) (layer * layout.layerElements());
                System.arraycopy(want, start + 4 * (int) layout.pageElements(), want, start + (int) layout.pageElements(),
                    (int) layout.pageElements());
            }
            OPS.kvCopyPages(kv, from, to, 1);
            assertArrayEquals(want, TestTensors.floats(data));
            put(to, 0, 6);
            assertThrows(IllegalArgumentException.class, () -> OPS.kvCopyPages(kv, from, to, 1));
            put(to, 0, 24);
            assertThrows(IllegalArgumentException.class, () -> OPS.kvMove(kv, from, to, 1));
            t.checkGuards();
        }
    }

    @Test
    void strayPagesAreRefused() {
        AttentionShape shape = new AttentionShape(1, 1, 4);
        try (TestTensors t = new TestTensors(43)) {
            KvStore kv = store(t, shape, 1, 4, 1, 2);
            RowBatch batch = RowBatch.allocate(t.arena(), 1, 1);
            Tensor qkv = t.normal(1, shape.fusedWidth());
            Tensor out = t.poisoned(1, 4);
            row(batch, kv, 0, 0, 3, 3, 1);
            put(batch.committed(), 0, 3);
            MemorySegment table = kv.pageTable().host().host();
            table.setAtIndex(ValueLayout.JAVA_INT, 0, -1);
            assertThrows(IllegalArgumentException.class, () -> OPS.treeAttention(qkv, shape, kv, 0, batch, 1, out, 1));
            table.setAtIndex(ValueLayout.JAVA_INT, 0, 99);
            assertThrows(IllegalArgumentException.class, () -> OPS.treeAttention(qkv, shape, kv, 0, batch, 1, out, 1));
            put(batch.contexts(), 0, 9);
            assertThrows(IllegalArgumentException.class, () -> OPS.treeAttention(qkv, shape, kv, 0, batch, 1, out, 1));
            t.checkGuards();
        }
    }
}

package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Attention through the paged cache at the edges of pages, and that pages, batches and threads leave no trace in a row's bits. */
class CpuCacheTest {
    private static final int[] CONTEXTS = {0, 1, 3, 4, 5, 15, 16, 17, 33};
    private static final Ops OPS = SharedOps.on(2);

    /** Requests of {@link #CONTEXTS} committed tokens and a random tree each, keys and values in a cache. */
    private static final class Scene {
        private final AttentionShape shape;
        private final KvStore kv;
        private final Tensor committed;
        private final Tensor nodes;
        private final RowBatch batch;
        private final int rows;

        /** Copies {@code from} onto other pages; null makes a scene of its own. */
        Scene(TestTensors t, AttentionShape shape, int pageSize, Scene from) {
            this.shape = shape;
            int requests = CONTEXTS.length;
            kv = TestMirrors.scattered(t, shape, 2, pageSize, requests, (33 + 64) / pageSize + 1);
            int tokens = 0;
            for (int c : CONTEXTS) {
                tokens += c;
            }
            committed = from == null ? t.normal(tokens, shape.fusedWidth()) : from.committed;
            nodes = from == null ? t.normal(64 * requests, shape.fusedWidth(), 3, 1) : from.nodes;
            batch = RowBatch.allocate(t.arena(), 64 * requests, requests);
            int row = 0;
            for (int r = 0; r < requests; r++) {
                TestMirrors.put(batch.sequences(), 0, r, requests - 1 - r);
                TestMirrors.put(batch.committed(), 0, r, CONTEXTS[r]);
                for (int i = 0; i < CONTEXTS[r]; i++) {
                    TestMirrors.row(batch, kv, row++, r, i, i + 1, 0);
                }
            }
            OPS.kvAppend(committed, shape, kv, 1, batch, row);
            row = 0;
            for (int r = 0; r < requests; r++) {
                int count = 1 + (r * 37 + 40) % 64;
                for (int n = 0; n < count; n++, row++) {
                    int parent = n == 0 ? -1 : t.random().nextInt(n);
                    long above = n == 0 ? 0 : TestMirrors.getLong(batch.masks(), 0, row - n + parent);
                    long mask = from == null ? above | 1L << n : TestMirrors.getLong(from.batch.masks(), 0, row);
                    TestMirrors.row(batch, kv, row, r, CONTEXTS[r] + n, CONTEXTS[r], mask);
                }
            }
            rows = row;
            OPS.kvAppend(nodes, shape, kv, 1, batch, rows);
        }

        /** Keys and values of one KV head in logical order: the request's committed tokens, then its nodes. */
        private double[][] column(int request, int firstRow, int offset) {
            int first = 0;
            for (int r = 0; r < request; r++) {
                first += CONTEXTS[r];
            }
            double[][] column = new double[CONTEXTS[request] + 64][shape.headDim()];
            for (int k = 0; k < column.length; k++) {
                boolean old = k < CONTEXTS[request];
                int row = old ? first + k : firstRow + k - CONTEXTS[request];
                for (int i = 0; row < (old ? committed : nodes).rows() && i < shape.headDim(); i++) {
                    column[k][i] = TestTensors.get(old ? committed : nodes, row, offset + i);
                }
            }
            return column;
        }

        double[] reference() {
            int dim = shape.headDim();
            double[] want = new double[rows * shape.queryWidth()];
            for (int row = 0, firstRow = 0; row < rows; row++) {
                int request = TestMirrors.get(batch.rowRequests(), 0, row);
                firstRow = row > 0 && request == TestMirrors.get(batch.rowRequests(), 0, row - 1) ? firstRow : row;
                long mask = TestMirrors.getLong(batch.masks(), 0, row);
                for (int h = 0; h < shape.heads(); h++) {
                    int key = shape.queryWidth() + h / shape.group() * dim;
                    double[][] keys = column(request, firstRow, key);
                    double[][] values = column(request, firstRow, key + shape.kvWidth());
                    double sum = 0;
                    double[] out = new double[dim];
                    for (int k = 0; k < keys.length; k++) {
                        if (k >= CONTEXTS[request] && (mask >>> (k - CONTEXTS[request]) & 1) == 0) {
                            continue;
                        }
                        double score = 0;
                        for (int i = 0; i < dim; i++) {
                            score += TestTensors.get(nodes, row, h * dim + i) * keys[k][i];
                        }
                        double p = Math.exp(score / Math.sqrt(dim));
                        sum += p;
                        for (int i = 0; i < dim; i++) {
                            out[i] += p * values[k][i];
                        }
                    }
                    for (int i = 0; i < dim; i++) {
                        want[row * shape.queryWidth() + h * dim + i] = out[i] / sum;
                    }
                }
            }
            return want;
        }
    }

    @ParameterizedTest
    @CsvSource({"2,2,6,4", "2,2,6,16", "4,2,8,4", "4,2,8,16", "4,1,10,4", "4,1,10,16"})
    void treesAtPageEdgesAgreeWithDoubles(int heads, int kvHeads, int dim, int pageSize) {
        long seed = 600 + heads * dim;
        String what = "treeAttention, group " + heads / kvHeads + ", pages of " + pageSize;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness(what, seed)) {
            AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
            Scene scene = new Scene(t, shape, pageSize, null);
            Tensor out = t.poisoned(scene.rows, shape.queryWidth(), 1);
            OPS.treeAttention(scene.nodes, shape, scene.kv, 1, scene.batch, CONTEXTS.length, out, scene.rows);
            close.check(scene.reference(), out, 1e-5, 2e-6);
            t.checkGuards();
        }
    }

    /** Rows alone, in other company, on other pages, on one to three threads. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void pagesBatchesAndThreadsLeaveNoTrace(int threads) {
        AttentionShape shape = new AttentionShape(4, 2, 34);
        Ops many = SharedOps.on(threads);
        try (TestTensors t = new TestTensors(700)) {
            Scene scene = new Scene(t, shape, 4, null);
            Tensor want = t.poisoned(scene.rows, shape.queryWidth());
            SharedOps.on(1).treeAttention(scene.nodes, shape, scene.kv, 1, scene.batch, CONTEXTS.length, want, scene.rows);
            Tensor got = t.poisoned(scene.rows, shape.queryWidth());
            many.treeAttention(scene.nodes, shape, scene.kv, 1, scene.batch, CONTEXTS.length, got, scene.rows);
            t.assertSameBits(want, got);
            Scene moved = new Scene(t, shape, 4, scene);
            many.treeAttention(scene.nodes, shape, moved.kv, 1, moved.batch, CONTEXTS.length, got, scene.rows);
            t.assertSameBits(want, got);
            RowBatch single = RowBatch.allocate(t.arena(), 1, 1);
            Tensor out = t.poisoned(1, shape.queryWidth());
            for (int row = 0; row < scene.rows; row++) {
                int request = TestMirrors.get(scene.batch.rowRequests(), 0, row);
                TestMirrors.put(single.sequences(), 0, 0, TestMirrors.get(scene.batch.sequences(), 0, request));
                TestMirrors.put(single.committed(), 0, 0, CONTEXTS[request]);
                TestMirrors.put(single.contexts(), 0, 0, CONTEXTS[request]);
                TestMirrors.putLong(single.masks(), 0, 0, TestMirrors.getLong(scene.batch.masks(), 0, row));
                many.treeAttention(scene.nodes.rows(row, row + 1), shape, scene.kv, 1, single, 1, out, 1);
                t.assertSameBits(want.rows(row, row + 1), out);
            }
            t.checkGuards();
        }
    }

    @Test
    void appendWritesItsSlotsOfItsLayerOnly() {
        AttentionShape shape = new AttentionShape(4, 2, 6);
        try (TestTensors t = new TestTensors(701)) {
            KvStore kv = TestMirrors.scattered(t, shape, 3, 4, 2, 3);
            KvLayout layout = kv.layout();
            RowBatch batch = RowBatch.allocate(t.arena(), 8, 2);
            TestMirrors.put(batch.sequences(), 0, 1, 1);
            int[] places = {0, 3, 4, 11, 5};
            Tensor qkv = t.normal(7, shape.fusedWidth(), 2, 1);
            float[] want = TestTensors.floats(kv.data());
            for (int i = 0; i < 5; i++) {
                TestMirrors.row(batch, kv, i, i % 2, places[i], 1, 0);
                int slot = TestMirrors.get(batch.slots(), 0, i);
                for (int h = 0; h < 2; h++) {
                    int at = (int) layout.keyOffset(1, slot, h);
                    for (int c = 0; c < 6; c++) {
                        want[at + c] = TestTensors.get(qkv, i, shape.queryWidth() + 6 * h + c);
                        want[at + (int) (2 * layout.headElements()) + c] = TestTensors.get(qkv, i, shape.queryWidth() + 12 + 6 * h + c);
                    }
                }
            }
            OPS.kvAppend(qkv, shape, kv, 1, batch, 5);
            float[] got = TestTensors.floats(kv.data());
            for (int i = 0; i < want.length; i++) {
                assertEquals(Float.floatToRawIntBits(want[i]), Float.floatToRawIntBits(got[i]), "element " + i + ", seed 701");
            }
            OPS.kvAppend(qkv, shape, kv, 1, batch, 0);
            for (int bad : new int[] {-1, layout.pages() * layout.pageSize()}) {
                TestMirrors.put(batch.slots(), 0, 4, bad);
                assertThrows(IllegalArgumentException.class, () -> OPS.kvAppend(qkv, shape, kv, 1, batch, 5), "slot " + bad);
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.kvAppend(qkv, shape, kv, 3, batch, 1), "layer 3 of 3");
            assertThrows(IllegalArgumentException.class, () -> OPS.kvAppend(qkv, shape, kv, -1, batch, 1));
            t.checkGuards();
        }
    }

    /** Bytes, so that every element type counts: moves over one another happen in ascending order, and nothing else changes. */
    @ParameterizedTest
    @CsvSource({"F32,4", "BF16,5"})
    void movesFollowOneAnother(DType dtype, int pageSize) {
        KvLayout layout = new KvLayout(dtype, 2, 3, 6, pageSize, 5);
        try (TestTensors t = new TestTensors(702)) {
            KvStore kv = KvStore.allocate(t.arena(), layout, t.arena().mirror(DType.I32, 1, 5));
            Tensor data = kv.data();
            for (long b = 0; b < data.storage().bytes(); b++) {
                data.host().set(ValueLayout.JAVA_BYTE, b, (byte) t.random().nextInt());
            }
            byte[] want = data.host().toArray(ValueLayout.JAVA_BYTE);
            int[] from = {3, 7, 7, 19, 0, 2, 1};
            int[] to = {7, 2, 19, 0, 0, 3, 6};
            for (int i = 0; i < from.length; i++) {
                for (int layer = 0; layer < 2; layer++) {
                    for (int part = 0; part < 6; part++) {
                        long shift = part * layout.headElements();
                        System.arraycopy(want, (int) (layout.keyOffset(layer, from[i], 0) + shift) * dtype.bytes(), want,
                            (int) (layout.keyOffset(layer, to[i], 0) + shift) * dtype.bytes(), 6 * dtype.bytes());
                    }
                }
            }
            HostMirror fromSlots = TestMirrors.ints(t, from);
            HostMirror toSlots = TestMirrors.ints(t, to);
            OPS.kvMove(kv, fromSlots, toSlots, from.length);
            assertEquals(-1, MemorySegment.ofArray(want).mismatch(data.host()), "seed 702");
            OPS.kvMove(kv, fromSlots, toSlots, 0);
            int[] fromPages = {4, 2, 0};
            int[] toPages = {1, 4, 3};
            for (int i = 0; i < 3; i++) {
                for (int layer = 0; layer < 2; layer++) {
                    int start = (int) (layer * layout.layerElements());
                    int size = (int) layout.pageElements();
                    System.arraycopy(want, (start + fromPages[i] * size) * dtype.bytes(), want, (start + toPages[i] * size) * dtype.bytes(),
                        size * dtype.bytes());
                }
            }
            OPS.kvCopyPages(kv, TestMirrors.ints(t, fromPages), TestMirrors.ints(t, toPages), 3);
            assertEquals(-1, MemorySegment.ofArray(want).mismatch(data.host()), "seed 702");
            for (int bad : new int[] {-1, 5 * pageSize}) {
                assertThrows(IllegalArgumentException.class, () -> OPS.kvMove(kv, TestMirrors.ints(t, bad), toSlots, 1));
            }
            for (int bad : new int[] {-1, 5}) {
                assertThrows(IllegalArgumentException.class, () -> OPS.kvCopyPages(kv, TestMirrors.ints(t, bad), toSlots, 1));
            }
            assertEquals(-1, MemorySegment.ofArray(want).mismatch(data.host()), "refused calls change nothing");
        }
    }

    /** One pass has the bits of the two that it stands for, whatever the threads, and writes nothing else to the cache. */
    @ParameterizedTest
    @CsvSource({"4,2,32,1", "4,2,32,3", "3,1,34,2", "8,1,6,2"})
    void normRopeAndAppendInOnePass(int heads, int kvHeads, int dim, int threads) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, dim);
        int rows = 41;
        try (TestTensors t = new TestTensors(704 + dim)) {
            Tensor rope = t.normal(rows, dim);
            Tensor qWeight = t.normal(1, dim);
            Tensor kWeight = t.normal(1, dim);
            Tensor qkv = t.normal(rows, shape.fusedWidth());
            KvStore kv = TestMirrors.scattered(t, shape, 2, 4, 1, 11);
            KvStore want = new KvStore(kv.layout(), t.poisoned(kv.layout().rows(), kv.layout().cols()), kv.pageTable());
            RowBatch batch = RowBatch.allocate(t.arena(), rows, 1);
            for (int row = 0; row < rows; row++) {
                TestMirrors.row(batch, kv, row, 0, row, row + 1, 0);
            }
            Tensor rotated = t.poisoned(rows, shape.fusedWidth());
            OPS.qkNormRope(qkv, shape, qWeight, kWeight, 1e-6f, batch.positions().device(), 0, rope, rotated, rows);
            OPS.kvAppend(rotated, shape, want, 1, batch, rows);
            Ops ops = SharedOps.on(threads);
            ops.qkNormRopeAppend(qkv, shape, qWeight, kWeight, 1e-6f, rope, kv, 1, batch, rows);
            t.assertSameBits(rotated.columns(0, shape.queryWidth()), qkv.columns(0, shape.queryWidth()));
            t.assertSameBits(want.data(), kv.data());
            TestMirrors.put(batch.slots(), 0, 3, kv.layout().pages() * 4);
            assertThrows(IllegalArgumentException.class,
                () -> ops.qkNormRopeAppend(qkv, shape, qWeight, kWeight, 1e-6f, rope, kv, 1, batch, rows), "no such slot");
            assertThrows(IllegalArgumentException.class,
                () -> ops.qkNormRopeAppend(qkv, shape, qWeight, kWeight, 1e-6f, rope, kv, 2, batch, rows), "no such layer");
            t.checkGuards();
        }
    }

    @Test
    void rowsThatSeeNothingOrTooMuchAreRefused() {
        AttentionShape shape = new AttentionShape(2, 1, 4);
        try (TestTensors t = new TestTensors(703)) {
            KvStore kv = TestMirrors.scattered(t, shape, 1, 4, 1, 2);
            RowBatch batch = RowBatch.allocate(t.arena(), 1, 1);
            Tensor qkv = t.normal(1, shape.fusedWidth());
            Tensor out = t.poisoned(1, shape.queryWidth());
            long[][] bad = {{0, 0, 0}, {9, 0, 0}, {8, 8, 1}, {-1, 0, 1}, {0, -1, 1}, {0, 0, 1L << 8}, {0, 4, 1L << 63}};
            for (long[] row : bad) {
                TestMirrors.row(batch, kv, 0, 0, 0, (int) row[0], row[2]);
                TestMirrors.put(batch.committed(), 0, 0, (int) row[1]);
                assertThrows(IllegalArgumentException.class, () -> OPS.treeAttention(qkv, shape, kv, 0, batch, 1, out, 1),
                    "context " + row[0] + ", committed " + row[1] + ", mask " + Long.toHexString(row[2]));
            }
            assertThrows(IllegalArgumentException.class, () -> OPS.treeAttention(qkv, shape, kv, 1, batch, 1, out, 1), "layer 1 of 1");
            t.checkGuards();
        }
    }
}

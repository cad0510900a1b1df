package org.respec.kernels.cpu;

import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;

/** Elements of mirrors, and paged caches whose pages are scattered. */
final class TestMirrors {
    private TestMirrors() {
    }

    static int get(HostMirror mirror, long row, long col) {
        return mirror.host().host().getAtIndex(ValueLayout.JAVA_INT, row * mirror.host().cols() + col);
    }

    static long getLong(HostMirror mirror, long row, long col) {
        return mirror.host().host().getAtIndex(ValueLayout.JAVA_LONG, row * mirror.host().cols() + col);
    }

    static void put(HostMirror mirror, long row, long col, int value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_INT, row * mirror.host().cols() + col, value);
    }

    static void putLong(HostMirror mirror, long row, long col, long value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_LONG, row * mirror.host().cols() + col, value);
    }

    static void putFloat(HostMirror mirror, long row, long col, float value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, row * mirror.host().cols() + col, value);
    }

    /** An I32 vector. */
    static HostMirror ints(TestTensors t, int... values) {
        HostMirror mirror = t.arena().mirror(DType.I32, 1, Math.max(1, values.length));
        for (int i = 0; i < values.length; i++) {
            put(mirror, 0, i, values[i]);
        }
        return mirror;
    }

    /** The numbers under {@code n} in a random order. */
    static int[] permutation(SplittableRandom random, int n) {
        int[] order = new int[n];
        for (int i = 0; i < n; i++) {
            int j = random.nextInt(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }

    /** A cache full of NaN, so that a stray read shows, with each sequence's pages at random places. */
    static KvStore scattered(TestTensors t, AttentionShape shape, int layers, int pageSize, int sequences, int pagesEach) {
        KvLayout layout = new KvLayout(DType.F32, layers, shape.kvHeads(), shape.headDim(), pageSize, sequences * pagesEach + 3);
        int[] order = permutation(t.random(), layout.pages());
        HostMirror table = t.arena().mirror(DType.I32, sequences, pagesEach);
        for (int i = 0; i < sequences * pagesEach; i++) {
            put(table, i / pagesEach, i % pagesEach, order[i]);
        }
        return new KvStore(layout, t.poisoned(layout.rows(), layout.cols()), table);
    }

    /** The slot of one place of a sequence. */
    static int slot(KvStore kv, int sequence, int place) {
        int size = kv.layout().pageSize();
        return get(kv.pageTable(), sequence, place / size) * size + place % size;
    }

    /** Describes one row: its key goes to {@code place} of its request's sequence. */
    static void row(RowBatch batch, KvStore kv, int row, int request, int place, int context, long mask) {
        put(batch.slots(), 0, row, slot(kv, get(batch.sequences(), 0, request), place));
        put(batch.contexts(), 0, row, context);
        putLong(batch.masks(), 0, row, mask);
        put(batch.rowRequests(), 0, row, request);
        put(batch.positions(), 0, row, place);
    }
}

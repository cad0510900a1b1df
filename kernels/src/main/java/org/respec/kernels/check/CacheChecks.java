package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.TensorArena;

/** Checks of writes and moves in the paged cache. */
final class CacheChecks {
    private static final double BF16 = 4e-3;

    private CacheChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("kvAppend f32 rows," + name, bench -> append(bench, DType.F32, dtype)));
            checks.add(new OperatorCheck("kvAppend bf16 rows," + name, bench -> append(bench, DType.BF16, dtype)));
            checks.add(new OperatorCheck("qkNormRopeAppend f32 rows," + name, bench -> normAppend(bench, DType.F32, dtype)));
            checks.add(new OperatorCheck("qkNormRopeAppend bf16 rows," + name, bench -> normAppend(bench, DType.BF16, dtype)));
            checks.add(new OperatorCheck("kvMove" + name, bench -> move(bench, dtype)));
            checks.add(new OperatorCheck("kvCopyPages" + name, bench -> copyPages(bench, dtype)));
        }
        checks.add(new OperatorCheck("cache refusals and faults", CacheChecks::refusals));
        return checks;
    }

    /** The same cache on both sides; each side's layout has its own type. */
    private record Caches(Twin data, KvStore truth, KvStore device) {
        static Caches of(CheckBench bench, KvLayout layout) {
            KvLayout f32 = new KvLayout(DType.F32, layout.layers(), layout.kvHeads(), layout.headDim(), layout.pageSize(), layout.pages());
            Twin data = bench.normal(layout.dtype(), layout.rows(), layout.cols(), 0, 1);
            return new Caches(data, new KvStore(f32, data.truth(), bench.truthArena().mirror(DType.I32, 1, 1)),
                new KvStore(layout, data.device(), bench.deviceArena().mirror(DType.I32, 1, 1)));
        }
    }

    private static HostMirror ints(Ops ops, TensorArena arena, int[] values) {
        HostMirror mirror = arena.mirror(DType.I32, 1, values.length);
        for (int i = 0; i < values.length; i++) {
            mirror.host().host().set(ValueLayout.JAVA_INT, 4L * i, values[i]);
        }
        ops.push(mirror, values.length);
        return mirror;
    }

    private static RowBatch batch(Ops ops, TensorArena arena, int[] slots, int[] positions) {
        RowBatch batch = batch(ops, arena, slots);
        for (int i = 0; i < positions.length; i++) {
            batch.positions().host().host().set(ValueLayout.JAVA_INT, 4L * i, positions[i]);
        }
        ops.push(batch.positions(), positions.length);
        return batch;
    }

    private static RowBatch batch(Ops ops, TensorArena arena, int[] slots) {
        RowBatch batch = RowBatch.allocate(arena, slots.length, 1);
        for (int i = 0; i < slots.length; i++) {
            batch.slots().host().host().set(ValueLayout.JAVA_INT, 4L * i, slots[i]);
        }
        ops.push(batch.slots(), slots.length);
        return batch;
    }

    /** Distinct numbers under {@code bound} in random order. */
    private static int[] distinct(CheckBench bench, int count, int bound) {
        int[] all = java.util.stream.IntStream.range(0, bound).toArray();
        for (int i = 0; i < count; i++) {
            int j = bench.random().nextInt(i, bound);
            int kept = all[i];
            all[i] = all[j];
            all[j] = kept;
        }
        return java.util.Arrays.copyOf(all, count);
    }

    private static void append(CheckBench bench, DType rowType, DType cacheType) {
        for (int dim : new int[] {2, 6, 64, 96, 128}) {
            for (int rows : new int[] {0, 1, 3, 41}) {
                KvLayout layout = new KvLayout(cacheType, 2, 1 + rows % 2, dim, 8, 7);
                AttentionShape shape = new AttentionShape(3 * layout.kvHeads(), layout.kvHeads(), dim);
                Caches caches = Caches.of(bench, layout);
                Twin qkv = bench.normal(rowType, rows, shape.fusedWidth(), rows % 3, 1);
                int[] slots = distinct(bench, rows, layout.pages() * layout.pageSize());
                bench.truth().kvAppend(qkv.truth(), shape, caches.truth, 1, batch(bench.truth(), bench.truthArena(), slots), rows);
                bench.device().kvAppend(qkv.device(), shape, caches.device, 1, batch(bench.device(), bench.deviceArena(), slots), rows);
                boolean rounds = rowType == DType.F32 && cacheType == DType.BF16;
                bench.compare("kvAppend of " + rows + " rows, heads of " + dim, caches.data, layout.rows(), rounds ? BF16 : 0, 0);
            }
        }
    }

    /** Against the CPU to the tolerance, and against the device's two operators, which it stands for, bit for bit. */
    private static void normAppend(CheckBench bench, DType rowType, DType cacheType) {
        AttentionShape[] shapes = {new AttentionShape(1, 1, 2), new AttentionShape(3, 1, 6), new AttentionShape(8, 1, 64),
            new AttentionShape(4, 2, 96), new AttentionShape(5, 5, 128), new AttentionShape(4, 1, 256)};
        int[] pageSizes = {16, 32, 64, 8};
        int each = 0;
        for (AttentionShape shape : shapes) {
            for (int rows : new int[] {0, 1, 3, 41}) {
                normAppend(bench, rowType, cacheType, shape, rows, pageSizes[each % 4], each % 3 == 0 ? 3 : 0);
                each++;
            }
        }
        normAppend(bench, rowType, cacheType, new AttentionShape(2, 1, 8), 401, 16, 0);
    }

    private static void normAppend(CheckBench bench, DType rowType, DType cacheType, AttentionShape shape, int rows, int pageSize,
                                   int gap) {
        int dim = shape.headDim();
        DType parameter = gap == 0 ? rowType : DType.F32;
        KvLayout layout = new KvLayout(cacheType, 2, shape.kvHeads(), dim, pageSize, Math.max(2, 2 * rows / pageSize));
        Caches caches = Caches.of(bench, layout);
        Twin qkv = bench.normal(rowType, rows + 1, shape.fusedWidth(), gap, 2);
        Twin qWeight = bench.normal(parameter, 1, dim, 0, 1);
        Twin kWeight = bench.normal(parameter, 1, dim, 0, 1);
        Twin rope = RopeChecks.rope(bench, dim);
        int[] slots = distinct(bench, rows, layout.pages() * pageSize);
        int[] positions = bench.random().ints(rows, 0, rope.rows()).toArray();
        RowBatch onTruth = batch(bench.truth(), bench.truthArena(), slots, positions);
        RowBatch onDevice = batch(bench.device(), bench.deviceArena(), slots, positions);
        // What the two operators make of the same rows, in a cache of their own.
        Twin pair = bench.poisoned(rowType, rows + 1, shape.fusedWidth(), gap);
        Twin pairData = bench.poisoned(cacheType, layout.rows(), layout.cols(), 0);
        KvStore pairStore = new KvStore(layout, pairData.device(), bench.deviceArena().mirror(DType.I32, 1, 1));
        bench.device().copy(qkv.device(), pair.device(), rows + 1);
        bench.device().copy(caches.data.device(), pairData.device(), layout.rows());
        bench.device().qkNormRope(pair.device(), shape, qWeight.device(), kWeight.device(), 1e-6f, onDevice.positions().device(), 0,
            rope.device(), pair.device(), rows);
        bench.device().kvAppend(pair.device(), shape, pairStore, 1, onDevice, rows);

        bench.truth().qkNormRopeAppend(qkv.truth(), shape, qWeight.truth(), kWeight.truth(), 1e-6f, rope.truth(), caches.truth, 1, onTruth,
            rows);
        bench.device().qkNormRopeAppend(qkv.device(), shape, qWeight.device(), kWeight.device(), 1e-6f, rope.device(), caches.device, 1,
            onDevice, rows);
        String what = "qkNormRopeAppend " + shape + " of " + rows + " rows, pages of " + pageSize;
        double relative = rowType == DType.F32 ? 1e-5 : BF16;
        double cached = rowType == DType.F32 && cacheType == DType.F32 ? 1e-5 : BF16;
        bench.compare(what, qkv, rows, shape.queryWidth(), relative, 4e-6);
        bench.compare(what + ", cache", caches.data, layout.rows(), cached, 4e-6);
        for (int c = 0; c < shape.fusedWidth(); c++) {
            bench.require(qkv.got(rows, c) == qkv.want(rows, c), what + ": the row past the live ones was written");
        }
        pair.pull();
        pairData.pull();
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < shape.queryWidth(); c++) {
                bench.require(qkv.got(r, c) == pair.got(r, c), what + ": query element " + c + " of row " + r
                    + " is not the two operators'");
            }
        }
        for (int r = 0; r < layout.rows(); r++) {
            for (int c = 0; c < layout.cols(); c++) {
                bench.require(caches.data.got(r, c) == pairData.got(r, c), what + ": element " + c + " of page " + r % layout.pages()
                    + " of layer " + r / layout.pages() + " of the cache is not the two operators'");
            }
        }
    }

    private static void move(CheckBench bench, DType dtype) {
        for (int dim : new int[] {1, 3, 10, 64, 128}) {
            for (int count : new int[] {0, 1, 5, 41, 300}) {
                KvLayout layout = new KvLayout(dtype, dim > 10 ? 2 : 3, 2, dim, 4, 9);
                // Few places and many moves: most of them read what an earlier one wrote.
                int bound = count > 40 ? 36 : 12;
                int[] from = bench.random().ints(count, 0, bound).toArray();
                int[] to = bench.random().ints(count, 0, bound).toArray();
                moves(bench, layout, from, to, "kvMove of " + count + " slots, heads of " + dim);
            }
        }
        moves(bench, new KvLayout(dtype, 1, 1, 8, 4, 9), new int[] {7, 9, 12, 30, 33}, new int[] {5, 7, 9, 28, 30}, "kvMove of two paths");
        moves(bench, new KvLayout(dtype, 1, 1, 8, 4, 9), new int[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
            new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "kvMove that spreads slot 0");
    }

    private static void moves(CheckBench bench, KvLayout layout, int[] from, int[] to, String what) {
        Caches caches = Caches.of(bench, layout);
        bench.truth().kvMove(caches.truth, ints(bench.truth(), bench.truthArena(), from), ints(bench.truth(), bench.truthArena(), to),
            from.length);
        bench.device().kvMove(caches.device, ints(bench.device(), bench.deviceArena(), from), ints(bench.device(), bench.deviceArena(), to),
            from.length);
        bench.compareExactly(what, caches.data, layout.rows());
    }

    private static void copyPages(CheckBench bench, DType dtype) {
        for (int dim : new int[] {1, 3, 64}) {
            for (int count : new int[] {0, 1, 5, 41}) {
                KvLayout layout = new KvLayout(dtype, 2, 3, dim, 5, 7);
                int[] from = bench.random().ints(count, 0, 7).toArray();
                int[] to = bench.random().ints(count, 0, 7).toArray();
                Caches caches = Caches.of(bench, layout);
                bench.truth().kvCopyPages(caches.truth, ints(bench.truth(), bench.truthArena(), from),
                    ints(bench.truth(), bench.truthArena(), to), count);
                bench.device().kvCopyPages(caches.device, ints(bench.device(), bench.deviceArena(), from),
                    ints(bench.device(), bench.deviceArena(), to), count);
                bench.compareExactly("kvCopyPages of " + count + ", heads of " + dim, caches.data, layout.rows());
            }
        }
    }

    private static void refusals(CheckBench bench) {
        KvLayout layout = new KvLayout(DType.F32, 2, 1, 8, 4, 3);
        AttentionShape shape = new AttentionShape(2, 1, 8);
        Caches caches = Caches.of(bench, layout);
        KvStore kv = caches.device;
        Ops ops = bench.device();
        TensorArena arena = bench.deviceArena();
        Twin qkv = bench.normal(DType.F32, 3, shape.fusedWidth(), 0, 1);
        RowBatch good = batch(ops, arena, new int[] {0, 1, 2});
        Class<IllegalArgumentException> bad = IllegalArgumentException.class;
        Twin weight = bench.normal(DType.F32, 1, 8, 0, 1);
        Twin rope = RopeChecks.rope(bench, 8);
        bench.refuses("qkNormRopeAppend to layer 2 of 2", bad, () -> ops.qkNormRopeAppend(qkv.device(), shape, weight.device(),
            weight.device(), 1e-6f, rope.device(), kv, 2, good, 3));
        bench.refuses("qkNormRopeAppend of 4 rows of 3", bad, () -> ops.qkNormRopeAppend(qkv.device(), shape, weight.device(),
            weight.device(), 1e-6f, rope.device(), kv, 0, good, 4));
        for (int position : new int[] {-1, rope.rows()}) {
            ElementwiseChecks.reports(bench, "qkNormRopeAppend at position " + position, () -> ops.qkNormRopeAppend(qkv.device(), shape,
                weight.device(), weight.device(), 1e-6f, rope.device(), kv, 1, batch(ops, arena, new int[] {5}, new int[] {position}), 1));
        }
        bench.refuses("kvAppend to layer 2 of 2", bad, () -> ops.kvAppend(qkv.device(), shape, kv, 2, good, 3));
        bench.refuses("kvAppend of other heads", bad, () -> ops.kvAppend(qkv.device(), new AttentionShape(2, 2, 8), kv, 0, good, 3));
        bench.refuses("kvAppend of 4 rows of 3", bad, () -> ops.kvAppend(qkv.device(), shape, kv, 0, good, 4));
        HostMirror slots = ints(ops, arena, new int[] {0, 11});
        for (int wrong : new int[] {-1, 12}) {
            HostMirror badSlots = ints(ops, arena, new int[] {0, wrong});
            bench.refuses("kvMove from slot " + wrong, bad, () -> ops.kvMove(kv, badSlots, slots, 2));
            bench.refuses("kvMove to slot " + wrong, bad, () -> ops.kvMove(kv, slots, badSlots, 2));
            bench.refuses("kvCopyPages from page " + wrong, bad, () -> ops.kvCopyPages(kv, badSlots, badSlots, 2));
        }
        bench.refuses("kvMove of 3 of 2", bad, () -> ops.kvMove(kv, slots, slots, 3));
        // The host says what is right, the device holds something else.
        HostMirror stale = ints(ops, arena, new int[] {5, -7});
        stale.host().host().set(ValueLayout.JAVA_INT, 4, 1);
        ElementwiseChecks.reports(bench, "kvMove from a slot that only the device holds", () -> ops.kvMove(kv, stale, slots, 2));
        bench.truth().kvMove(caches.truth, ints(bench.truth(), bench.truthArena(), new int[] {5}),
            ints(bench.truth(), bench.truthArena(), new int[] {0}), 1);
        bench.compareExactly("kvMove of the good slot", caches.data, layout.rows());
        for (int wrong : new int[] {-1, 12}) {
            ElementwiseChecks.reports(bench, "qkNormRopeAppend to slot " + wrong, () -> ops.qkNormRopeAppend(qkv.device(), shape,
                weight.device(), weight.device(), 1e-6f, rope.device(), kv, 1, batch(ops, arena, new int[] {wrong}, new int[] {1}), 1));
            ElementwiseChecks.reports(bench, "kvAppend to slot " + wrong,
                () -> ops.kvAppend(qkv.device(), shape, kv, 0, batch(ops, arena, new int[] {3, wrong, 4}), 3));
        }
        bench.truth().kvAppend(qkv.truth(), shape, caches.truth, 0, batch(bench.truth(), bench.truthArena(), new int[] {3, 3, 4}), 1);
        bench.truth().kvAppend(qkv.truth().rows(2, 3), shape, caches.truth, 0, batch(bench.truth(), bench.truthArena(), new int[] {4}), 1);
        bench.compareExactly("kvAppend of the good rows", caches.data, layout.rows());
    }
}

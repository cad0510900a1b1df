package org.respec.kernels.cpu;

import org.respec.bindings.memory.RawMemory;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;

/**
 * Attention over a paged cache and over packed sequences. Both first list the addresses of the keys a row sees, in logical order, and
 * then run the same loops over that list: scores, maximum, exponentials, weighted values, with sums whose shape depends on the
 * length of the list alone. So a token's result has the same bits as a tree node, decoded, prefilled or in training.
 */
final class CpuAttention {
    /** Multiply-adds of a nanosecond on one thread. */
    private static final long MULTIPLY_ADDS = 15;
    /** Less than a sequence and head take: all of them are worth sharing. */
    private static final long BACKWARD_NANOS = 20_000;

    private final WorkerPool pool;
    private final SeenKeys[] seen;
    private final ChainGradients[] chains;
    private final WorkerPool.Part treePart = this::treeRows;
    private final WorkerPool.Part chainPart = this::chainRows;
    private final WorkerPool.Part backwardPart = this::backwardTasks;

    private AttentionShape shape;
    private long query;
    private long queryStride;
    private long out;
    private long outStride;
    private int rows;
    private float scale;

    // Paged cache.
    private KvLayout layout;
    private long layerBase;
    private long pageTable;
    private int tableWidth;
    private long contexts;
    private long masks;
    private long rowRequests;
    private long sequences;
    private long committed;

    // Packed sequences.
    private Tensor[] steps;
    private int depth;
    private long starts;
    private long rowStarts;
    private ChainGradients.Pass chainPass;

    CpuAttention(WorkerPool pool) {
        this.pool = pool;
        this.seen = new SeenKeys[pool.threads()];
        this.chains = new ChainGradients[pool.threads()];
        for (int i = 0; i < seen.length; i++) {
            seen[i] = new SeenKeys();
            chains[i] = new ChainGradients();
        }
    }

    // ------------------------------------------------------------------------------------------------------------- cache

    void kvAppend(Tensor qkv, AttentionShape attention, KvStore kv, int layer, RowBatch batch, int rowCount) {
        KvLayout l = check("kvAppend", attention, kv, layer);
        Checks.matrix("kvAppend", "qkv", qkv, rowCount, attention.fusedWidth());
        Checks.indices("kvAppend", "slots", batch.slots().device(), rowCount, l.pages() * l.pageSize());
        long slots = batch.slots().device().address();
        long base = kv.data().address();
        long width = 4L * l.headDim();
        long values = 4 * l.kvHeads() * l.headElements();
        for (int r = 0; r < rowCount; r++) {
            long key = qkv.address() + 4 * (r * qkv.rowStride() + attention.queryWidth());
            long target = base + 4 * l.keyOffset(layer, Simd.getInt(slots + 4L * r), 0);
            for (int h = 0; h < l.kvHeads(); h++) {
                RawMemory.copy(key, target, width);
                RawMemory.copy(key + 4L * attention.kvWidth(), target + values, width);
                key += width;
                target += 4 * l.headElements();
            }
        }
    }

    static KvLayout check(String operator, AttentionShape attention, KvStore kv, int layer) {
        KvLayout l = kv.layout();
        if (l.dtype() != DType.F32 || l.kvHeads() != attention.kvHeads() || l.headDim() != attention.headDim() || layer < 0
            || layer >= l.layers()) {
            throw new IllegalArgumentException(operator + ": layer " + layer + " of " + l + " does not fit " + attention);
        }
        return l;
    }

    void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        KvLayout l = kv.layout();
        Checks.indices("kvMove", "fromSlots", fromSlots.device(), count, l.pages() * l.pageSize());
        Checks.indices("kvMove", "toSlots", toSlots.device(), count, l.pages() * l.pageSize());
        long from = fromSlots.device().address();
        long to = toSlots.device().address();
        long base = kv.data().address();
        long width = (long) l.headDim() * l.dtype().bytes();
        for (int layer = 0; layer < l.layers(); layer++) {
            for (int i = 0; i < count; i++) {
                long source = l.keyOffset(layer, Simd.getInt(from + 4L * i), 0);
                long target = l.keyOffset(layer, Simd.getInt(to + 4L * i), 0);
                for (int part = 0; part < 2 * l.kvHeads(); part++) {
                    long shift = part * l.headElements();
                    RawMemory.copy(base + (source + shift) * l.dtype().bytes(), base + (target + shift) * l.dtype().bytes(), width);
                }
            }
        }
    }

    void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        KvLayout l = kv.layout();
        Checks.indices("kvCopyPages", "fromPages", fromPages.device(), count, l.pages());
        Checks.indices("kvCopyPages", "toPages", toPages.device(), count, l.pages());
        long from = fromPages.device().address();
        long to = toPages.device().address();
        long bytes = l.pageElements() * l.dtype().bytes();
        for (int layer = 0; layer < l.layers(); layer++) {
            long start = kv.layerAddress(layer);
            for (int i = 0; i < count; i++) {
                RawMemory.copy(start + Simd.getInt(from + 4L * i) * bytes, start + Simd.getInt(to + 4L * i) * bytes, bytes);
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------- tree attention

    void treeAttention(Tensor qkv, AttentionShape attention, KvStore kv, int layer, RowBatch batch, int requestCount, Tensor outTensor,
                       int rowCount) {
        layout = check("treeAttention", attention, kv, layer);
        begin("treeAttention", attention, qkv, outTensor, rowCount);
        Tensor table = kv.pageTable().device();
        Checks.vector("treeAttention", "contexts", batch.contexts().device(), DType.I32, rowCount);
        Checks.vector("treeAttention", "masks", batch.masks().device(), DType.I64, rowCount);
        Checks.indices("treeAttention", "rowRequests", batch.rowRequests().device(), rowCount, requestCount);
        Checks.indices("treeAttention", "sequences", batch.sequences().device(), requestCount, table.rows());
        Checks.vector("treeAttention", "committed", batch.committed().device(), DType.I32, requestCount);
        layerBase = kv.layerAddress(layer);
        pageTable = table.address();
        tableWidth = table.cols();
        contexts = batch.contexts().device().address();
        masks = batch.masks().device().address();
        rowRequests = batch.rowRequests().device().address();
        sequences = batch.sequences().device().address();
        committed = batch.committed().device().address();
        long work = 0;
        for (int r = 0; r < rowCount; r++) {
            work += Simd.getInt(contexts + 4L * r);
        }
        // Contexts and some in-flight tokens; two products each.
        long workEach = 2 * (work / Math.max(1, rowCount) + 8) * attention.queryWidth();
        pool.run(treePart, rowCount, workEach / MULTIPLY_ADDS);
    }

    private void begin(String operator, AttentionShape attention, Tensor qkv, Tensor outTensor, int rowCount) {
        Checks.matrix(operator, "qkv", qkv, rowCount, attention.fusedWidth());
        Checks.matrix(operator, "out", outTensor, rowCount, attention.queryWidth());
        shape = attention;
        query = qkv.address();
        queryStride = qkv.rowStride() * 4;
        out = outTensor.address();
        outStride = outTensor.rowStride() * 4;
        rows = rowCount;
        scale = (float) (1 / Math.sqrt(attention.headDim()));
    }

    private void treeRows(int from, int to, int thread) {
        SeenKeys s = seen[thread];
        long headStride = 4 * layout.headElements();
        long values = layout.kvHeads() * headStride;
        for (int r = from; r < to; r++) {
            listPaged(s, r);
            for (int h = 0; h < shape.heads(); h++) {
                s.attend(query + r * queryStride + 4L * h * shape.headDim(), h / shape.group() * headStride, values, shape.headDim(), scale,
                    out + r * outStride + 4L * h * shape.headDim());
            }
        }
    }

    /** Lists the keys of head 0 that row r sees. */
    private void listPaged(SeenKeys s, int r) {
        int request = Simd.getInt(rowRequests + 4L * r);
        int context = Simd.getInt(contexts + 4L * r);
        long mask = Simd.getLong(masks + 8L * r);
        int base = Simd.getInt(committed + 4L * request);
        long table = pageTable + 4L * tableWidth * Simd.getInt(sequences + 4L * request);
        int capacity = tableWidth * layout.pageSize();
        int last = mask == 0 ? context : Math.max(context, base + 64 - Long.numberOfLeadingZeros(mask));
        if (context < 0 || base < 0 || last > capacity || (context == 0 && mask == 0)) {
            throw new IllegalArgumentException("treeAttention: row " + r + " with context " + context + ", committed " + base + " and mask "
                + Long.toHexString(mask) + " must see 1 to " + capacity + " tokens");
        }
        s.clear(context + Long.bitCount(mask));
        int pageSize = layout.pageSize();
        for (int place = 0; place < context; place += pageSize) {
            long key = page(table, place, r);
            int end = Math.min(pageSize, context - place);
            for (int i = 0; i < end; i++) {
                s.add(key);
                key += 4L * layout.headDim();
            }
        }
        for (long left = mask; left != 0; left &= left - 1) {
            int place = base + Long.numberOfTrailingZeros(left);
            s.add(page(table, place, r) + 4L * layout.headDim() * (place % pageSize));
        }
        s.end();
    }

    private long page(long table, int place, int r) {
        int page = Simd.getInt(table + 4L * (place / layout.pageSize()));
        if (page < 0 || page >= layout.pages()) {
            throw new IllegalArgumentException("treeAttention: row " + r + " sees place " + place + ", whose page " + page
                + " must be 0 to " + (layout.pages() - 1));
        }
        return layerBase + 4 * page * layout.pageElements();
    }

    // --------------------------------------------------------------------------------------------------- packed sequences

    void chainAttention(Tensor[] stepTensors, int chainDepth, AttentionShape attention, Spans spans, int sequenceTotal, Tensor outTensor,
                        int rowCount) {
        packed("chainAttention", stepTensors, chainDepth, attention, spans, sequenceTotal, rowCount);
        begin("chainAttention", attention, stepTensors[chainDepth], outTensor, rowCount);
        pool.run(chainPart, rowCount, (long) rowCount / Math.max(1, sequenceTotal) * attention.queryWidth() / MULTIPLY_ADDS);
    }

    private void packed(String operator, Tensor[] stepTensors, int chainDepth, AttentionShape attention, Spans spans, int sequenceTotal,
                        int rowCount) {
        if (chainDepth < 0 || chainDepth >= stepTensors.length) {
            throw new IllegalArgumentException(operator + ": depth " + chainDepth + " of " + stepTensors.length + " steps");
        }
        for (int i = 0; i <= chainDepth; i++) {
            Checks.matrix(operator, "steps[" + i + "]", stepTensors[i], rowCount, attention.fusedWidth());
        }
        Checks.vector(operator, "starts", spans.starts().device(), DType.I32, sequenceTotal + 1);
        Checks.vector(operator, "rowStarts", spans.rowStarts().device(), DType.I32, rowCount);
        starts = spans.starts().device().address();
        rowStarts = spans.rowStarts().device().address();
        int previous = 0;
        for (int i = 0; i <= sequenceTotal; i++) {
            int start = Simd.getInt(starts + 4L * i);
            if (start < previous || start > rowCount || (i == 0 && start != 0) || (i == sequenceTotal && start != rowCount)) {
                throw new IllegalArgumentException(operator + ": starts[" + i + "] is " + start + "; starts must rise from 0 to "
                    + rowCount);
            }
            previous = start;
        }
        for (int r = 0; r < rowCount; r++) {
            int start = Simd.getInt(rowStarts + 4L * r);
            if (start < 0 || start > r) {
                throw new IllegalArgumentException(operator + ": rowStarts[" + r + "] is " + start + "; it must be 0 to " + r);
            }
        }
        steps = stepTensors;
        depth = chainDepth;
    }

    private void chainRows(int from, int to, int thread) {
        SeenKeys s = seen[thread];
        long headStride = 4L * shape.headDim();
        long values = 4L * shape.kvWidth();
        for (int r = from; r < to; r++) {
            listPacked(s, r, Simd.getInt(rowStarts + 4L * r));
            for (int h = 0; h < shape.heads(); h++) {
                s.attend(query + r * queryStride + h * headStride, h / shape.group() * headStride, values, shape.headDim(), scale,
                    out + r * outStride + h * headStride);
            }
        }
    }

    /** Lists the keys of head 0 that row r of a sequence beginning at {@code start} sees. */
    private void listPacked(SeenKeys s, int r, int start) {
        s.clear(r - start + 1 + depth);
        long keyShift = 4L * shape.queryWidth();
        long stride = steps[0].rowStride() * 4;
        long key = steps[0].address() + start * stride + keyShift;
        for (int t = start; t <= r; t++) {
            s.add(key);
            key += stride;
        }
        for (int d = 1; d <= depth; d++) {
            s.add(steps[d].address() + r * steps[d].rowStride() * 4 + keyShift);
        }
        s.end();
    }

    void chainAttentionBackward(Tensor[] stepTensors, int chainDepth, AttentionShape attention, Spans spans, int sequenceTotal,
                                Tensor dOutTensor, Tensor[] dSteps, int rowCount) {
        packed("chainAttentionBackward", stepTensors, chainDepth, attention, spans, sequenceTotal, rowCount);
        begin("chainAttentionBackward", attention, stepTensors[chainDepth], dOutTensor, rowCount);
        for (int i = 0; i <= chainDepth; i++) {
            Checks.matrix("chainAttentionBackward", "dSteps[" + i + "]", dSteps[i], rowCount, attention.fusedWidth());
        }
        chainPass = new ChainGradients.Pass(attention, stepTensors, dSteps, chainDepth, dOutTensor, scale);
        pool.run(backwardPart, sequenceTotal * attention.kvHeads(), BACKWARD_NANOS);
    }

    /** A sequence's rows and one KV head own their part of every gradient, so tasks may run in any order on any thread. */
    private void backwardTasks(int from, int to, int thread) {
        for (int task = from; task < to; task++) {
            int sequence = task / shape.kvHeads();
            int kvHead = task % shape.kvHeads();
            chains[thread].add(chainPass, Simd.getInt(starts + 4L * sequence), Simd.getInt(starts + 4L * sequence + 4), kvHead);
        }
    }
}

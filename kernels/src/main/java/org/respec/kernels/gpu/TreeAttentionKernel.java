package org.respec.kernels.gpu;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.memory.RawMemory;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.gpu.TreeAttentionPlan.Shape;

/** Launches {@code tree_attention.cu}. */
final class TreeAttentionKernel {
    /** Columns of a chunk, as in {@code tree_attention.cuh}. */
    static final int CHUNK = 512;
    /** Chunks of a span, as in {@code tree_attention.cuh}. */
    static final int SPAN_CHUNKS = 8;
    private static final int[] HEAD_DIMS = {32, 64, 96, 128, 256};
    private static final int FLIGHT = TreeBatch.MAX_NODES;
    private static final int QUERY_BF16 = 1;
    private static final int QUERY_WIDE = 2;
    private static final int OUT_PAIRS = 4;

    private static final Products[] PRODUCTS = Products.values();
    private static final Shape[] SHAPES = Shape.values();

    /** How products are computed: FMA chains over an F32 or a BF16 cache, or tensor cores where queries and cache are BF16. */
    enum Products {
        F32_CACHE, BF16_CACHE, TENSOR
    }

    private final GpuContext gpu;
    private final Arguments arguments;
    private final GpuKernel[] kernels = new GpuKernel[HEAD_DIMS.length * PRODUCTS.length * SHAPES.length];
    /** The last plan: steps that follow each other mostly share it. */
    private TreeAttentionPlan plan = new TreeAttentionPlan(Shape.NARROW, 1, 1);

    TreeAttentionKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(192);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (int dim : HEAD_DIMS) {
            for (Products products : PRODUCTS) {
                for (Shape shape : SHAPES) {
                    if (exists(dim, products, shape)) {
                        specs.add(spec(dim, products, shape));
                    }
                }
            }
        }
        return List.copyOf(specs);
    }

    static boolean supports(int headDim) {
        return dimIndex(headDim) >= 0;
    }

    private static int dimIndex(int headDim) {
        for (int i = 0; i < HEAD_DIMS.length; i++) {
            if (HEAD_DIMS[i] == headDim) {
                return i;
            }
        }
        return -1;
    }

    /** 128 rows' accumulators fit the registers up to head size 128, and their tiles of floats do not fit shared memory. */
    private static boolean exists(int headDim, Products products, Shape shape) {
        return shape != Shape.WIDE || (products == Products.TENSOR && headDim <= 128);
    }

    private static KernelSpec spec(int headDim, Products products, Shape shape) {
        return KernelSpec.of("tree_attention.cu", "tree_attention").with("HEAD_DIM", headDim)
            .with("CACHE_BF16", products == Products.F32_CACHE ? 0 : 1).with("TENSOR", products == Products.TENSOR ? 1 : 0)
            .with("WARPS", shape.warps()).with("M_TILES", shape.strips()).with("TEAMS", shape.teams())
            .with("FOLDS", shape.folds() ? 1 : 0);
    }

    private static Products products(DType query, DType cache) {
        if (cache == DType.F32) {
            return Products.F32_CACHE;
        }
        return query == DType.BF16 ? Products.TENSOR : Products.BF16_CACHE;
    }

    /** Whether a plan can run here: there is such a kernel, and its shared memory is there. */
    private boolean fits(DType query, KvLayout kv, Shape shape, int spanChunks) {
        Products products = products(query, kv.dtype());
        int dim = kv.headDim();
        // A node's description, and what 16 rows have in common.
        int fixed = 17 * shape.rows() + 64;
        return exists(dim, products, shape) && (spanChunks == 1 || shape.folds())
            && sharedBytes(dim, products, shape, spanChunks) + fixed <= gpu.driver().device().sharedBytesPerBlock();
    }

    /** Dynamic shared memory: the teams' rings of keys and values and a row of zeros, queries, totals of a span. */
    static int sharedBytes(int dim, Products products, Shape shape, int spanChunks) {
        int cacheBytes = products == Products.F32_CACHE ? 4 : 2;
        int tile = dim * cacheBytes > 256 ? 16 : 32;
        int tokens = (FLIGHT / tile + 1) * tile;
        int ring = (2 * tokens + 1) * (dim * cacheBytes + 16);
        int query = dim * (products == Products.TENSOR ? 2 : 4) + 16;
        int total = spanChunks == 1 ? 0 : dim * 4 + 32;
        return shape.teams() * ring + shape.rows() * (query + total);
    }

    /**
     * Most columns that a row can have, from what the host knows: rows that the device has made see the committed tokens and at most 64
     * more, others what the host says.
     */
    static int mostColumns(RowBatch batch, int requests, int rows, int capacity) {
        long committed = batch.committed().host().address();
        long contexts = batch.contexts().host().address();
        int most = 0;
        for (int r = 0; r < requests; r++) {
            most = Math.max(most, RawMemory.ALL.get(ValueLayout.JAVA_INT_UNALIGNED, committed + 4L * r));
        }
        for (int r = 0; r < rows; r++) {
            most = Math.max(most, RawMemory.ALL.get(ValueLayout.JAVA_INT_UNALIGNED, contexts + 4L * r));
        }
        return Math.addExact(Math.min(most, capacity), FLIGHT);
    }

    /**
     * The next of few numbers of columns, at most a quarter more than asked for. Launches are a function of rows, requests and this
     * number, so a captured graph serves all contexts up to it; a row with more columns is reported by the kernel.
     */
    static int columnsBucket(int columns) {
        int chunks = Math.max(1, (columns + CHUNK - 1) / CHUNK);
        int step = bucketStep(chunks);
        return Math.multiplyExact(Math.multiplyExact((chunks + step - 1) / step, step), CHUNK);
    }

    private static int bucketStep(int chunks) {
        return Math.max(1, Integer.highestOneBit(chunks) / 4);
    }

    /** Spans that the longest row fills at least, where so many chunks are the {@link #columnsBucket} of its columns. */
    static int filledSpans(int chunks) {
        return (chunks - bucketStep(chunks - 1)) / SPAN_CHUNKS;
    }

    /**
     * How to cut a batch of queries of a type over a cache.
     *
     * @param columns most columns of a row, a {@link #columnsBucket}
     */
    TreeAttentionPlan plan(DType query, AttentionShape attention, KvLayout kv, int requests, int rows, int columns) {
        int chunks = (columns + CHUNK - 1) / CHUNK;
        int packed = Math.multiplyExact((rows + requests - 1) / requests, attention.group());
        if (packed > Shape.NARROW.rows()) {
            Shape bulk = packed > Shape.SPREAD.rows() && fits(query, kv, Shape.WIDE, SPAN_CHUNKS) ? Shape.WIDE : Shape.SPREAD;
            // Those that have work for long: not the places that nobody has, nor spans of a longer row.
            long blocks = (long) requests * ((packed + bulk.rows() - 1) / bulk.rows()) * attention.kvHeads()
                * Math.max(1, filledSpans(chunks));
            // A span to a block writes little; a chunk to a block keeps more multiprocessors busy.
            if (chunks > 1 && 4 * blocks >= 3L * bulk.resident() * gpu.driver().device().multiprocessors()
                && fits(query, kv, bulk, SPAN_CHUNKS)) {
                return same(bulk, SPAN_CHUNKS, (chunks + SPAN_CHUNKS - 1) / SPAN_CHUNKS);
            }
            if (fits(query, kv, Shape.SPREAD, 1)) {
                return same(Shape.SPREAD, 1, chunks);
            }
        }
        if (!fits(query, kv, Shape.NARROW, 1)) {
            throw new IllegalArgumentException("treeAttention: heads of " + attention.headDim() + " and a cache of " + kv.dtype()
                + " need " + sharedBytes(attention.headDim(), products(query, kv.dtype()), Shape.NARROW, 1) + " bytes of shared memory, "
                + gpu.driver().device().name() + " has " + gpu.driver().device().sharedBytesPerBlock());
        }
        return same(Shape.NARROW, 1, chunks);
    }

    private TreeAttentionPlan same(Shape shape, int spanChunks, int spans) {
        if (plan.shape() != shape || plan.spanChunks() != spanChunks || plan.spans() != spans) {
            plan = new TreeAttentionPlan(shape, spanChunks, spans);
        }
        return plan;
    }

    /** Places of rows that a launch needs, enough for any division of the rows among the requests. */
    private static long places(Shape shape, AttentionShape attention, int requests, int rows) {
        return Math.multiplyExact((long) rows, attention.group()) / shape.rows() + requests;
    }

    /**
     * Rows {@code from} to {@code to} of the batch.
     *
     * @param parts workspace [rows of this launch x heads x spans x headDim] F32, and {@code states} [... x 2]; not used with one span
     */
    void launch(Tensor qkv, AttentionShape attention, KvStore kv, int layer, RowBatch batch, int requests, Tensor out,
            TreeAttentionPlan plan, int from, int to, long parts, long states) {
        int dim = attention.headDim();
        Shape shape = plan.shape();
        Products products = products(qkv.dtype(), kv.layout().dtype());
        int index = (dimIndex(dim) * PRODUCTS.length + products.ordinal()) * SHAPES.length + shape.ordinal();
        if (kernels[index] == null) {
            kernels[index] = gpu.kernel(spec(dim, products, shape));
        }
        Tensor table = kv.pageTable().device();
        int size = qkv.dtype().bytes();
        boolean wide = qkv.address() % 16 == 0 && qkv.rowStride() * size % 16 == 0;
        boolean pairs = out.address() % (2L * size) == 0 && out.rowStride() % 2 == 0;
        int flags = (qkv.dtype() == DType.BF16 ? QUERY_BF16 : 0) | (wide ? QUERY_WIDE : 0) | (pairs ? OUT_PAIRS : 0);
        rows(arguments.begin(), batch, kv, requests, plan, from, to).address(qkv).address(kv.layerAddress(layer))
            .address(out).address(table).address(parts).address(states).address(gpu.faults().address()).integer64(qkv.rowStride())
            .integer64(out.rowStride()).integer64(kv.layout().pageElements()).integer(Math.toIntExact(table.rowStride()))
            .integer(kv.layout().pageSize()).integer(pageShift(kv)).integer(kv.layout().pages()).integer(attention.group())
            .integer(attention.kvHeads()).integer(plan.spans()).integer(plan.spanChunks()).integer(flags).real(scale(dim));
        gpu.stream().launch(kernels[index], Math.toIntExact(places(shape, attention, requests, to - from)), attention.kvHeads(),
            plan.spans(), shape.threads(), 1, sharedBytes(dim, products, shape, plan.spanChunks()), arguments.end());
    }

    /** Struct TreeRows of {@code tree_attention.cuh}. */
    static Arguments rows(Arguments arguments, RowBatch batch, KvStore kv, int requests, TreeAttentionPlan plan, int from, int to) {
        Tensor table = kv.pageTable().device();
        long columns = (long) plan.spans() * plan.spanChunks() * CHUNK;
        return arguments.address(batch.firstRows().device()).address(batch.rowRequests().device()).address(batch.contexts().device())
            .address(batch.masks().device()).address(batch.sequences().device()).address(batch.committed().device()).integer(requests)
            .integer(table.rows()).integer(capacity(kv)).integer((int) Math.min(columns, Integer.MAX_VALUE)).integer(from).integer(to);
    }

    /** Tokens of a sequence that the page table has room for. */
    static int capacity(KvStore kv) {
        return Math.multiplyExact(kv.pageTable().device().cols(), kv.layout().pageSize());
    }

    /** Logarithm of a page's tokens where they are a power of two, else -1. */
    private static int pageShift(KvStore kv) {
        int size = kv.layout().pageSize();
        return Integer.bitCount(size) == 1 ? Integer.numberOfTrailingZeros(size) : -1;
    }

    /** Softmax to base 2: log2(e) / sqrt(dim). */
    static float scale(int dim) {
        return (float) (1 / (Math.log(2) * Math.sqrt(dim)));
    }
}

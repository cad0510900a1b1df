package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuMemory;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/**
 * Attention over the paged cache: checks, then launches. Queries and cache may be F32 or BF16, each; the result has the queries' type.
 * Heads are of 32, 64, 96, 128 or 256 elements.
 *
 * <p>Besides rows and requests, launches depend on the longest context, in steps of a quarter at most; so may captured graphs.
 */
final class GpuTreeAttention {
    private static final String OPERATOR = "treeAttention";
    private static final long MOST_WORKSPACE = 128L << 20;

    private final GpuContext gpu;
    private final TreeAttentionKernel kernel;
    private final TreeAttentionMergeKernel merge;
    /** Parts of contexts that were split; of one size for ever, so that captured graphs may keep its address. */
    private GpuMemory workspace;

    GpuTreeAttention(GpuContext gpu) {
        this.gpu = gpu;
        kernel = new TreeAttentionKernel(gpu);
        merge = new TreeAttentionMergeKernel(gpu);
    }

    void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows) {
        check(qkv, shape, kv, layer, batch, requests, out, rows);
        if (rows > 0) {
            int columns = TreeAttentionKernel.columnsBucket(
                TreeAttentionKernel.mostColumns(batch, requests, rows, TreeAttentionKernel.capacity(kv)));
            run(qkv, shape, kv, layer, batch, requests, out, rows,
                kernel.plan(qkv.dtype(), shape, kv.layout(), requests, rows, columns));
        }
    }

    private static void check(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows) {
        KvLayout l = kv.layout();
        if (l.kvHeads() != shape.kvHeads() || l.headDim() != shape.headDim() || layer < 0 || layer >= l.layers()) {
            throw new IllegalArgumentException(OPERATOR + ": layer " + layer + " of " + l + " does not fit " + shape);
        }
        if (!TreeAttentionKernel.supports(shape.headDim())) {
            throw new IllegalArgumentException(OPERATOR + ": heads must be of 32, 64, 96, 128 or 256 elements, got " + shape);
        }
        if (qkv.dtype() != DType.F32 && qkv.dtype() != DType.BF16 || l.dtype() != DType.F32 && l.dtype() != DType.BF16) {
            throw new IllegalArgumentException(OPERATOR + ": qkv and cache must be F32 or BF16, got " + qkv + " and " + l);
        }
        Checks.matrix(OPERATOR, "qkv", qkv, qkv.dtype(), rows, shape.fusedWidth());
        Checks.matrix(OPERATOR, "out", out, qkv.dtype(), rows, shape.queryWidth());
        Checks.disjoint(OPERATOR, "out", out, "qkv", qkv);
        if (kv.data().address() % 16 != 0) {
            throw new IllegalArgumentException(OPERATOR + ": the cache must be aligned to 16 bytes, got " + kv.data() + " at offset "
                + kv.data().offset());
        }
        if (requests < 0 || rows > 0 && requests == 0) {
            throw new IllegalArgumentException(OPERATOR + ": " + rows + " rows must belong to 1 request or more, got " + requests);
        }
        Checks.vector(OPERATOR, "contexts", batch.contexts().device(), DType.I32, rows);
        Checks.vector(OPERATOR, "masks", batch.masks().device(), DType.I64, rows);
        Checks.vector(OPERATOR, "rowRequests", batch.rowRequests().device(), DType.I32, rows);
        Checks.vector(OPERATOR, "firstRows", batch.firstRows().device(), DType.I32, requests + 1);
        // The host fills these two itself, so it knows them; rows may come from the device, whose kernel checks them.
        Checks.indices(OPERATOR, "sequences", batch.sequences().host(), requests, kv.pageTable().device().rows());
        Checks.indices(OPERATOR, "committed", batch.committed().host(), requests,
            Math.addExact(TreeAttentionKernel.capacity(kv), 1));
    }

    /** Runs a plan, in as many launches as the workspace makes necessary. */
    void run(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows,
            TreeAttentionPlan plan) {
        if (plan.spans() == 1) {
            kernel.launch(qkv, shape, kv, layer, batch, requests, out, plan, 0, rows, 0, 0);
            return;
        }
        long partsEach = Math.multiplyExact(Math.multiplyExact((long) shape.heads(), plan.spans()), shape.headDim() * 4L);
        long statesEach = Math.multiplyExact(Math.multiplyExact((long) shape.heads(), plan.spans()), 8L);
        if (workspace == null) {
            workspace = gpu.allocate(Math.min(MOST_WORKSPACE, gpu.driver().device().memoryBytes() / 64));
        }
        int most = (int) Math.min(rows, workspace.bytes() / (partsEach + statesEach));
        if (most == 0) {
            throw new IllegalArgumentException(OPERATOR + ": a row of " + shape + " over " + plan.spans() + " spans needs "
                + (partsEach + statesEach) + " bytes of workspace, there are " + workspace.bytes());
        }
        long parts = workspace.address();
        long states = parts + most * partsEach;
        for (int from = 0; from < rows; from += most) {
            int to = Math.min(rows, from + most);
            kernel.launch(qkv, shape, kv, layer, batch, requests, out, plan, from, to, parts, states);
            merge.launch(shape, kv, batch, requests, out, plan, from, to, parts, states);
        }
    }
}

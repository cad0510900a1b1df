package org.respec.kernels.bench;

import static org.respec.kernels.bench.BenchCase.shape;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Verification: trees of several sizes over contexts and batches, four query heads to a KV head of 128. */
final class TreeAttentionCases {
    private static final int BF16 = DType.BF16.bytes();
    private static final int PAGE = 16;

    private TreeAttentionCases() {
    }

    static List<BenchCase> all(boolean tiny) {
        List<BenchCase> cases = new ArrayList<>();
        AttentionShape attention = tiny ? new AttentionShape(4, 1, 32) : new AttentionShape(32, 8, 128);
        // At 4096 a span ends with the context, and the nodes are alone in the next; at 4000 they share its last tile.
        for (int batch : tiny ? new int[] {2} : new int[] {1, 16, 64}) {
            for (int context : tiny ? new int[] {40} : new int[] {1024, 4000, 4096, 32768}) {
                for (int nodes : tiny ? new int[] {1, 8} : new int[] {1, 8, 32, 64}) {
                    cases.add(treeAttention(batch, context, nodes, fitting(attention, batch, context + nodes)));
                }
            }
        }
        return cases;
    }

    /** Halves the heads until the cache's layer, which is one row of a matrix, has under 2^31 elements. */
    private static AttentionShape fitting(AttentionShape attention, int batch, int tokens) {
        AttentionShape shape = attention;
        while (batch * (tokens + PAGE - 1L) * 2 * shape.kvWidth() > Integer.MAX_VALUE) {
            shape = new AttentionShape(shape.heads() / 2, shape.kvHeads() / 2, shape.headDim());
        }
        return shape;
    }

    /**
     * Reads keys and values of every context and tree once, queries once, writes out. Two products of headDim for each node, query head and
     * token of the context; those within the tree, at most nodes / context more, are left out.
     */
    private static BenchCase treeAttention(int batch, int context, int nodes, AttentionShape attention) {
        int rows = batch * nodes;
        long kv = (long) batch * (context + nodes) * 2 * attention.kvWidth() * BF16;
        long bytes = kv + 2L * rows * attention.queryWidth() * BF16;
        long flops = 4L * rows * context * attention.queryWidth();
        return new BenchCase("treeAttention", shape("batch", batch, "context", context, "nodes", nodes, "heads", attention.heads(),
            "kvHeads",
            attention.kvHeads(), "headDim", attention.headDim()), DType.BF16, bytes, flops, kv + 4L * rows * attention.queryWidth() * BF16,
            in -> {
                int perRequest = (context + nodes + PAGE - 1) / PAGE;
                KvLayout layout = new KvLayout(DType.BF16, 1, attention.kvHeads(), attention.headDim(), PAGE, batch * perRequest);
                Tensor data = in.normal(DType.BF16, layout.rows(), layout.cols());
                int[] pages = in.permutation(batch * perRequest);
                KvStore kvStore = new KvStore(layout, data, in.ints(batch, perRequest, i -> pages[i]));
                Tensor qkv = in.normal(DType.BF16, rows, attention.fusedWidth());
                Tensor out = in.empty(DType.BF16, rows, attention.queryWidth());
                RowBatch rowBatch = trees(in, batch, context, nodes, perRequest, pages);
                return () -> in.ops().treeAttention(qkv, attention, kvStore, 0, rowBatch, batch, out, rows);
            });
    }

    /** Every request has a random tree: a node's parent is any earlier one. */
    private static RowBatch trees(BenchInputs in, int batch, int context, int nodes, int perRequest, int[] pages) {
        RowBatch rows = RowBatch.allocate(in.arena(), batch * nodes, batch);
        in.fill(rows.tokens(), i -> i);
        in.fill(rows.positions(), i -> context + i % nodes);
        in.fill(rows.contexts(), i -> context);
        in.fill(rows.rowRequests(), i -> i / nodes);
        in.fill(rows.firstRows(), i -> i * nodes);
        in.fill(rows.sequences(), i -> i);
        in.fill(rows.committed(), i -> context);
        in.fill(rows.slots(), i -> {
            int place = context + i % nodes;
            return pages[i / nodes * perRequest + place / PAGE] * PAGE + place % PAGE;
        });
        MemorySegment masks = rows.masks().host().host();
        for (int i = 0; i < batch * nodes; i++) {
            int node = i % nodes;
            long ancestors = node == 0 ? 0 : masks.getAtIndex(ValueLayout.JAVA_LONG, i - node + in.random().nextInt(node));
            masks.setAtIndex(ValueLayout.JAVA_LONG, i, ancestors | 1L << node);
        }
        in.ops().push(rows.masks(), batch * nodes);
        MemorySegment ids = rows.requestIds().host().host();
        for (int i = 0; i < batch; i++) {
            ids.setAtIndex(ValueLayout.JAVA_LONG, i, i);
        }
        in.ops().push(rows.requestIds(), batch);
        return rows;
    }
}

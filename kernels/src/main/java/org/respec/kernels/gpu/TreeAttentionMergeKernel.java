package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Launches {@code tree_attention_merge.cu}. */
final class TreeAttentionMergeKernel {
    private static final KernelSpec SPEC = KernelSpec.of("tree_attention_merge.cu", "tree_attention_merge");
    private static final int THREADS = 128;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel kernel;

    TreeAttentionMergeKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernel = new LoadedKernel(gpu, SPEC);
        this.arguments = gpu.arguments(128);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    /** Rows {@code from} to {@code to} of the batch, from the parts that {@link TreeAttentionKernel} has left with the same plan. */
    void launch(AttentionShape attention, KvStore kv, RowBatch batch, int requests, Tensor out, TreeAttentionPlan plan, int from, int to,
            long parts, long states) {
        long items = (long) (to - from) * attention.heads();
        int perBlock = THREADS / (attention.headDim() / 4);
        TreeAttentionKernel.rows(arguments.begin(), batch, kv, requests, plan, from, to).address(parts).address(states).address(out)
            .integer64(out.rowStride()).integer(attention.heads()).integer(attention.headDim()).integer(plan.spans())
            .integer(plan.spanChunks()).integer(out.dtype() == DType.BF16 ? 1 : 0).real(TreeAttentionKernel.scale(attention.headDim()));
        gpu.stream().launch(kernel.get(), Math.toIntExact((items + perBlock - 1) / perBlock), 1, 1, THREADS, 1, 0, arguments.end());
    }
}

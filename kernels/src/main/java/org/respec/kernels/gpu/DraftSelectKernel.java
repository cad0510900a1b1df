package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.TreeBatch;

/** Launches {@code draft_select.cu}. */
final class DraftSelectKernel {
    private static final KernelSpec SPEC = KernelSpec.of("draft_select.cu", "draft_select");
    /** One for each candidate of a pool, in whole warps. */
    private static final int THREADS = 480;

    private final GpuContext gpu;
    private final LoadedKernel kernel;
    private final Arguments arguments;

    DraftSelectKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernel = new LoadedKernel(gpu, SPEC);
        this.arguments = gpu.arguments(232);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    void launch(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        if (requests == 0) {
            return;
        }
        arguments.begin().address(rootTokens.device()).address(rootPositions.device()).address(verify.sequences().device())
            .address(verify.committed().device());
        PageTables.write(arguments, kv).address(trees.poolTokens().device()).address(trees.poolParents().device())
            .address(trees.poolDepths().device()).address(trees.poolScores().device()).address(trees.poolCounts().device())
            .address(trees.budgets().device()).address(trees.nodeTokens().device()).address(trees.nodeParents().device())
            .address(trees.nodeDepths().device()).address(trees.nodePool().device()).address(trees.nodeMasks().device())
            .address(trees.nodeCounts().device()).address(verify.tokens().device()).address(verify.positions().device())
            .address(verify.slots().device()).address(verify.contexts().device()).address(verify.masks().device())
            .address(verify.rowRequests().device()).address(verify.firstRows().device()).address(gpu.faults().address())
            .integer(verify.maxRows());
        gpu.stream().launch(kernel.get(), requests, 1, 1, THREADS, 1, 0, arguments.end());
    }
}

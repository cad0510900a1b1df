package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;

/** Launches {@code draft_expand.cu}. */
final class DraftExpandKernel {
    private static final int PART_BYTES = 72;
    private static final KernelSpec SPEC = KernelSpec.of("draft_expand.cu", "draft_expand");
    /** Without noise, then with; F32, then BF16. */
    private static final List<KernelSpec> SPECS = List.of(SPEC.with("NOISY", 0).with("BF16", 0), SPEC.with("NOISY", 0).with("BF16", 1),
        SPEC.with("NOISY", 1).with("BF16", 0), SPEC.with("NOISY", 1).with("BF16", 1));

    private final GpuContext gpu;
    private final LoadedKernel[] kernels;
    private final Arguments arguments;
    private final Workspace parts;
    private final Workspace done;

    DraftExpandKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, SPECS);
        this.arguments = gpu.arguments(260 + NoiseKey.BYTES);
        this.parts = new Workspace(gpu);
        this.done = new Workspace(gpu);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return SPECS;
    }

    void launch(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, float temperature, long seed,
                HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        if (requests == 0) {
            return;
        }
        int chunks = LogitRows.chunks(logits);
        int blocks = Math.multiplyExact(Math.multiplyExact(requests, rowsPerRequest), chunks);
        arguments.begin().address(logits).address(next.requestIds().device()).address(rootPositions.device())
            .address(next.sequences().device()).address(next.committed().device());
        PageTables.write(arguments, draftKv).address(parts.address(blocks, PART_BYTES)).address(done.address(requests, 4))
            .address(trees.levelBiases().device()).address(trees.poolTokens().device()).address(trees.poolParents().device())
            .address(trees.poolRanks().device())
            .address(trees.poolDepths().device()).address(trees.poolScores().device()).address(trees.poolMasks().device())
            .address(trees.poolCounts().device()).address(trees.frontier().device()).address(trees.frontierParents().device())
            .address(next.tokens().device()).address(next.positions().device()).address(next.slots().device())
            .address(next.contexts().device()).address(next.masks().device()).address(next.rowRequests().device())
            .address(gpu.faults().address()).integer64(logits.rowStride());
        NoiseKey.write(arguments, seed).integer(logits.cols()).integer(chunks).integer(rowsPerRequest).integer(level).integer(branch)
            .real(LogitRows.inverse(temperature)).real(sharpness);
        gpu.stream().launch(kernels[(temperature > 0 ? 2 : 0) + (LogitRows.half(logits) ? 1 : 0)].get(), blocks, 1, 1,
            LogitRows.chunkThreads(logits), 1, 0, arguments.end());
    }
}

package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Launches {@code verify_trees.cu}. */
final class VerifyTreesKernel {
    private static final KernelSpec SPEC = KernelSpec.of("verify_trees.cu", "verify_trees");
    private static final int THREADS = 128;
    private static final int REQUESTS = THREADS / 32;

    private final GpuContext gpu;
    private final LoadedKernel kernel;
    private final Arguments arguments;

    VerifyTreesKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernel = new LoadedKernel(gpu, SPEC);
        this.arguments = gpu.arguments(72);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    void launch(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        if (requests == 0) {
            return;
        }
        gpu.stream().launch(kernel.get(), (requests + REQUESTS - 1) / REQUESTS, 1, 1, THREADS, 1, 0, arguments.begin()
            .address(batch.firstRows().device()).address(sampled).address(trees.nodeTokens().device()).address(trees.nodeParents().device())
            .address(trees.nodeCounts().device()).address(result.pathLengths().device()).address(result.pathNodes().device())
            .address(gpu.faults().address()).integer(requests).integer(sampled.cols()).end());
    }
}

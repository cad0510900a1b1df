package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.TreeBatch;

/** Launches {@code draft_budgets.cu}. */
final class DraftBudgetsKernel {
    private static final KernelSpec SPEC = KernelSpec.of("draft_budgets.cu", "draft_budgets");
    private static final int THREADS = 1024;

    private final GpuContext gpu;
    private final LoadedKernel kernel;
    private final Arguments arguments;

    DraftBudgetsKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernel = new LoadedKernel(gpu, SPEC);
        this.arguments = gpu.arguments(48);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    void launch(TreeBatch trees, int requests, int total, int each) {
        if (requests == 0) {
            return;
        }
        gpu.stream().launch(kernel.get(), 1, 1, 1, THREADS, 1, 0, arguments.begin().address(trees.poolScores().device())
            .address(trees.poolCounts().device()).address(trees.budgets().device()).address(gpu.faults().address()).integer(requests)
            .integer(total).integer(each).end());
    }
}

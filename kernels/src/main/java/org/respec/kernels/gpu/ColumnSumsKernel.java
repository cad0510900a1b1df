package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Tensor;

/** Launches {@code column_sums.cu}. */
final class ColumnSumsKernel {
    private static final KernelSpec SPEC = KernelSpec.of("column_sums.cu", "column_sums");
    private static final int COLUMNS = 32;
    private static final int PARTS = 8;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel kernel;

    ColumnSumsKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(32);
        this.kernel = new LoadedKernel(gpu, SPEC);
    }

    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    /**
     * Adds the columns' sums to {@code target}.
     *
     * @param partials device address of floats [rows x stride], of which the first columns are summed
     * @param target F32 [1 x columns]
     */
    void launch(long partials, long stride, int rows, Tensor target) {
        gpu.stream().launch(kernel.get(), Math.ceilDiv(target.cols(), COLUMNS), 1, 1, COLUMNS * PARTS, 1, 0, arguments.begin()
            .address(partials).address(target).integer64(stride).integer(rows).integer(target.cols()).end());
    }
}

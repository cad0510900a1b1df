package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Tensor;

/** Launches {@code embedding.cu}. */
final class EmbeddingKernel {
    private static final KernelSpec BASE = KernelSpec.of("embedding.cu", "embedding");
    private static final int PER_THREAD = 8;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final TypedKernels kernels;

    EmbeddingKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(64);
        this.kernels = new TypedKernels(gpu, BASE, "PARAMETER_BF16");
    }

    static List<KernelSpec> specs() {
        return TypedKernels.specs(BASE, "PARAMETER_BF16");
    }

    void launch(Tensor table, Tensor tokens, Tensor out, int rows) {
        if (rows == 0 || out.cols() == 0) {
            return;
        }
        int threads = Tiling.threads(out.cols(), PER_THREAD);
        int tiles = Tiling.tiles(out.cols(), threads, PER_THREAD);
        gpu.stream().launch(kernels.get(out.dtype(), table.dtype()), Tiling.blocks(rows, tiles), 1, 1, threads, 1, 0, arguments.begin()
            .address(table).address(tokens).address(out).address(gpu.faults().address()).integer64(table.rowStride())
            .integer64(out.rowStride()).integer(out.cols()).integer(table.rows()).integer(tiles).end());
    }
}

package org.respec.kernels.gpu;

import java.util.List;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code embedding_backward.cu}: the rows of each token together, then their sums. */
final class EmbeddingBackwardKernel {
    private static final KernelSpec ORDER = KernelSpec.of("embedding_backward.cu", "embedding_order").with("BF16", 0);
    private static final KernelSpec F32 = KernelSpec.of("embedding_backward.cu", "embedding_backward").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);
    private static final int WARPS = 8;
    private static final int PER_THREAD = 4;

    private final GpuContext gpu;
    private final PartialSums memory;
    private final Arguments orderArguments;
    private final Arguments arguments;
    private final LoadedKernel order;
    private final LoadedKernel f32;
    private final LoadedKernel bf16;

    EmbeddingBackwardKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.memory = new PartialSums(gpu);
        this.orderArguments = gpu.arguments(40);
        this.arguments = gpu.arguments(64);
        this.order = new LoadedKernel(gpu, ORDER);
        this.f32 = new LoadedKernel(gpu, F32);
        this.bf16 = new LoadedKernel(gpu, BF16);
    }

    static List<KernelSpec> specs() {
        return List.of(ORDER, F32, BF16);
    }

    void launch(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        if (rows == 0 || dOut.cols() == 0) {
            return;
        }
        GpuMemory both = memory.bytes(8L * rows);
        long ordered = both.address();
        long count = ordered + 4L * rows;
        gpu.stream().fill(both, 4L * rows, 0, rows);
        gpu.stream().launch(order.get(), Math.ceilDiv(rows, WARPS), 1, 1, 32 * WARPS, 1, 0, orderArguments.begin().address(tokens)
            .address(ordered).address(count).address(gpu.faults().address()).integer(rows).integer(dTable.rows()).end());
        int threads = Tiling.threads(dOut.cols(), PER_THREAD);
        int tiles = Tiling.tiles(dOut.cols(), threads, PER_THREAD);
        gpu.stream().launch((dOut.dtype() == DType.BF16 ? bf16 : f32).get(), Tiling.blocks(rows, tiles), 1, 1, threads, 1, 0,
            arguments.begin().address(dOut).address(tokens).address(ordered).address(count).address(dTable).integer64(dOut.rowStride())
                .integer64(dTable.rowStride()).integer(dOut.cols()).integer(tiles).end());
    }
}

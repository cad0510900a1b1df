package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Tensor;

/** Launches {@code qk_norm_rope_backward.cu}. */
final class QkNormRopeBackwardKernel {
    private static final KernelSpec BASE = KernelSpec.of("qk_norm_rope_backward.cu", "qk_norm_rope_backward");
    private static final int THREADS = 256;

    private final GpuContext gpu;
    private final PartialSums memory;
    private final ColumnSumsKernel columnSums;
    private final Arguments arguments;
    private final TypedKernels kernels;

    QkNormRopeBackwardKernel(GpuContext gpu, ColumnSumsKernel columnSums) {
        this.gpu = gpu;
        this.memory = new PartialSums(gpu);
        this.columnSums = columnSums;
        this.arguments = gpu.arguments(144);
        this.kernels = new TypedKernels(gpu, BASE, "PARAMETER_BF16");
    }

    static List<KernelSpec> specs() {
        return TypedKernels.specs(BASE, "PARAMETER_BF16");
    }

    void launch(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift, Tensor rope,
                Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows) {
        if (rows == 0) {
            return;
        }
        int dim = shape.headDim();
        int chunk = chunk(rows);
        int chunks = Math.ceilDiv(rows, chunk);
        long partials = memory.bytes(8L * chunks * dim).address();
        gpu.stream().launch(kernels.get(qkv.dtype(), qWeight.dtype()), chunks, 1, 1, THREADS, 1, 0, arguments.begin().address(qkv)
            .address(dOut).address(dQkv).address(qWeight).address(kWeight).address(positions).address(rope).address(partials)
            .address(gpu.faults().address()).integer64(qkv.rowStride()).integer64(dOut.rowStride()).integer64(dQkv.rowStride())
            .integer64(rope.rowStride()).integer(rows).integer(chunk).integer(shape.heads()).integer(shape.kvHeads()).integer(dim)
            .integer(QkNormRopeKernel.teamBits(dim, qkv.dtype())).integer(shift).integer(rope.rows()).real(eps).end());
        columnSums.launch(partials, 2L * dim, chunks, dQWeight);
        columnSums.launch(partials + 4L * dim, 2L * dim, chunks, dKWeight);
    }

    /** Rows of one partial sum: enough blocks for a GPU, and partial sums that are few beside the rows. */
    private static int chunk(int rows) {
        return Math.clamp(Math.ceilDiv(rows, 1024), 1, 32);
    }
}

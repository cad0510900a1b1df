package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code qk_norm_rope.cu}. */
final class QkNormRopeKernel {
    private static final KernelSpec BASE = KernelSpec.of("qk_norm_rope.cu", "qk_norm_rope");
    private static final int THREADS = 128;
    /** 32 lanes with a run of four floats of either half. */
    static final int MOST_DIM = 256;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final TypedKernels kernels;

    QkNormRopeKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(112);
        this.kernels = new TypedKernels(gpu, BASE, "PARAMETER_BF16");
    }

    static List<KernelSpec> specs() {
        return TypedKernels.specs(BASE, "PARAMETER_BF16");
    }

    void launch(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift, Tensor rope,
                Tensor out, int rows) {
        if (rows == 0) {
            return;
        }
        int bits = teamBits(shape.headDim(), qkv.dtype());
        boolean inPlace = qkv.address() == out.address() && qkv.rowStride() == out.rowStride();
        int heads = shape.heads() + (inPlace ? 1 : 2) * shape.kvHeads();
        int tiles = Math.ceilDiv(heads, THREADS >> bits);
        gpu.stream().launch(kernels.get(qkv.dtype(), qWeight.dtype()), Tiling.blocks(rows, tiles), 1, 1, THREADS, 1, 0, arguments.begin()
            .address(qkv).address(out).address(qWeight).address(kWeight).address(positions).address(rope).address(gpu.faults().address())
            .integer64(qkv.rowStride()).integer64(out.rowStride()).integer64(rope.rowStride()).integer(shape.heads())
            .integer(shape.kvHeads()).integer(shape.headDim()).integer(bits).integer(shift).integer(rope.rows()).real(eps).integer(tiles)
            .end());
    }

    /** Logarithm of the lanes that share a head: enough for runs of 16 bytes over half of it. */
    static int teamBits(int dim, DType dtype) {
        int runs = Math.ceilDiv(dim / 2, 16 / dtype.bytes());
        return 32 - Integer.numberOfLeadingZeros(runs - 1);
    }
}

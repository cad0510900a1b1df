package org.respec.kernels.gpu;

import java.util.List;
import java.util.stream.Stream;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Launches {@code qk_norm_rope_append.cu}. */
final class QkNormRopeAppendKernel {
    private static final KernelSpec BASE = KernelSpec.of("qk_norm_rope_append.cu", "qk_norm_rope_append");
    private static final KernelSpec F32_CACHE = BASE.with("CACHE_BF16", 0);
    private static final KernelSpec BF16_CACHE = BASE.with("CACHE_BF16", 1);
    private static final int THREADS = 128;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final TypedKernels toF32;
    private final TypedKernels toBf16;

    QkNormRopeAppendKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(120);
        this.toF32 = new TypedKernels(gpu, F32_CACHE, "PARAMETER_BF16");
        this.toBf16 = new TypedKernels(gpu, BF16_CACHE, "PARAMETER_BF16");
    }

    static List<KernelSpec> specs() {
        return Stream.of(F32_CACHE, BF16_CACHE).flatMap(base -> TypedKernels.specs(base, "PARAMETER_BF16").stream()).toList();
    }

    void launch(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor rope, KvStore kv, int layer,
                RowBatch batch, int rows) {
        if (rows == 0) {
            return;
        }
        KvLayout l = kv.layout();
        int bits = QkNormRopeKernel.teamBits(shape.headDim(), qkv.dtype());
        int tiles = Math.ceilDiv(shape.heads() + 2 * shape.kvHeads(), THREADS >> bits);
        TypedKernels kernels = l.dtype() == DType.BF16 ? toBf16 : toF32;
        gpu.stream().launch(kernels.get(qkv.dtype(), qWeight.dtype()), Tiling.blocks(rows, tiles), 1, 1, THREADS, 1, 0, arguments.begin()
            .address(qkv).address(kv.layerAddress(layer)).address(qWeight)
            .address(kWeight).address(batch.positions().device()).address(batch.slots().device()).address(rope)
            .address(gpu.faults().address()).integer64(qkv.rowStride()).integer64(rope.rowStride()).integer(shape.heads())
            .integer(shape.kvHeads()).integer(shape.headDim()).integer(bits).integer(rope.rows()).integer(l.pageSize())
            .integer(l.pages() * l.pageSize()).real(eps).integer(tiles).end());
    }
}

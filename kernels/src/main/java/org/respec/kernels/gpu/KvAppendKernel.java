package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Tensor;

/** Launches {@code kv_append.cu}. */
final class KvAppendKernel {
    private static final KernelSpec BASE = KernelSpec.of("kv_append.cu", "kv_append");
    private static final int PER_THREAD = 8;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final TypedKernels kernels;

    KvAppendKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(64);
        this.kernels = new TypedKernels(gpu, BASE, "CACHE_BF16");
    }

    static List<KernelSpec> specs() {
        return TypedKernels.specs(BASE, "CACHE_BF16");
    }

    void launch(Tensor qkv, AttentionShape shape, KvStore kv, int layer, Tensor slots, int rows) {
        if (rows == 0) {
            return;
        }
        KvLayout l = kv.layout();
        int units = 2 * l.kvHeads() * Math.ceilDiv(l.headDim(), PER_THREAD);
        int threads = Tiling.threads(units, 1);
        int tiles = Tiling.tiles(units, threads, 1);
        gpu.stream().launch(kernels.get(qkv.dtype(), l.dtype()), Tiling.blocks(rows, tiles), 1, 1, threads, 1, 0, arguments.begin()
            .address(qkv).address(kv.layerAddress(layer)).address(slots)
            .address(gpu.faults().address()).integer64(qkv.rowStride()).integer(shape.queryWidth()).integer(l.kvHeads())
            .integer(l.headDim()).integer(l.pageSize()).integer(l.pages() * l.pageSize()).integer(tiles).end());
    }
}

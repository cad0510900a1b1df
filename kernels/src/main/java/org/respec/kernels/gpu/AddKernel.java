package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code add.cu}. */
final class AddKernel {
    private static final KernelSpec F32 = KernelSpec.of("add.cu", "add").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel f32;
    private final LoadedKernel bf16;

    AddKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(48);
        this.f32 = new LoadedKernel(gpu, F32);
        this.bf16 = new LoadedKernel(gpu, BF16);
    }

    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor x, Tensor y, int rows) {
        if (rows == 0 || y.cols() == 0) {
            return;
        }
        boolean half = y.dtype() == DType.BF16;
        int perThread = half ? 16 : 8;
        boolean whole = x.rowStride() == x.cols() && y.rowStride() == y.cols();
        long cols = whole ? Math.multiplyExact((long) rows, y.cols()) : y.cols();
        int threads = Tiling.threads(cols, perThread);
        int tiles = Tiling.tiles(cols, threads, perThread);
        gpu.stream().launch((half ? bf16 : f32).get(), Tiling.blocks(whole ? 1 : rows, tiles), 1, 1, threads, 1, 0, arguments.begin()
            .address(x).address(y).integer64(x.rowStride()).integer64(y.rowStride()).integer64(cols).integer(tiles).end());
    }
}

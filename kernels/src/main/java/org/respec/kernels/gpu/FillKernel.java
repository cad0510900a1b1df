package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code fill.cu}. */
final class FillKernel {
    private static final KernelSpec F32 = KernelSpec.of("fill.cu", "fill").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel f32;
    private final LoadedKernel bf16;

    FillKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(32);
        this.f32 = new LoadedKernel(gpu, F32);
        this.bf16 = new LoadedKernel(gpu, BF16);
    }

    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor x, float value) {
        if (x.size() == 0) {
            return;
        }
        boolean half = x.dtype() == DType.BF16;
        int perThread = half ? 32 : 16;
        long cols = x.contiguous() ? x.size() : x.cols();
        int rows = x.contiguous() ? 1 : x.rows();
        int threads = Tiling.threads(cols, perThread);
        int tiles = Tiling.tiles(cols, threads, perThread);
        gpu.stream().launch((half ? bf16 : f32).get(), Tiling.blocks(rows, tiles), 1, 1, threads, 1, 0, arguments.begin()
            .address(x).integer64(x.rowStride()).integer64(cols).integer(tiles).real(value).end());
    }
}

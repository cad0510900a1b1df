package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code convert.cu}. */
final class ConvertKernel {
    private static final KernelSpec TO_BF16 = KernelSpec.of("convert.cu", "convert").with("BF16", 0);
    private static final KernelSpec TO_F32 = TO_BF16.with("BF16", 1);
    private static final int PER_THREAD = 8;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel toBf16;
    private final LoadedKernel toF32;

    ConvertKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(48);
        this.toBf16 = new LoadedKernel(gpu, TO_BF16);
        this.toF32 = new LoadedKernel(gpu, TO_F32);
    }

    static List<KernelSpec> specs() {
        return List.of(TO_BF16, TO_F32);
    }

    /** F32 to BF16, or the other way; both of the same shape. */
    void launch(Tensor src, Tensor dst) {
        if (src.size() == 0) {
            return;
        }
        boolean whole = src.contiguous() && dst.contiguous();
        long cols = whole ? src.size() : src.cols();
        int threads = Tiling.threads(cols, PER_THREAD);
        int tiles = Tiling.tiles(cols, threads, PER_THREAD);
        gpu.stream().launch((src.dtype() == DType.BF16 ? toF32 : toBf16).get(), Tiling.blocks(whole ? 1 : src.rows(), tiles), 1, 1,
            threads, 1, 0, arguments.begin().address(src).address(dst).integer64(src.rowStride()).integer64(dst.rowStride())
                .integer64(cols).integer(tiles).end());
    }
}

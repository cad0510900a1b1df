package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code gemm_tiles.cu}: {@link GemmRowsKernel}'s bits, faster where there are many rows. */
final class GemmTilesKernel {
    private static final int STAGES = 4;
    private static final KernelSpec SPEC = KernelSpec.of("gemm_tiles.cu", "gemm_tiles").with("BF16", 1).with("STAGES", STAGES);
    private static final int THREADS = 256;
    private static final int TILE = 128;
    private static final int SHARED_BYTES = STAGES * 32_768;
    private static final int MOST_GRID_Y = 65_535;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel kernel;
    private final int multiprocessors;
    private final boolean fits;

    GemmTilesKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(GemmRowsKernel.ARGUMENT_BYTES);
        this.kernel = new LoadedKernel(gpu, SPEC);
        this.multiprocessors = gpu.driver().device().multiprocessors();
        this.fits = SHARED_BYTES <= gpu.driver().device().sharedBytesPerBlock();
    }

    static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    /**
     * Whether it takes these operands at all, and has a tile for every second multiprocessor: a block reads half of what those of
     * {@link GemmRowsKernel} read for as many results, which more than makes up for those that idle.
     */
    boolean suits(Tensor x, Tensor w, int rows) {
        return takes(x, w) && suits(rows, w.rows(), multiprocessors);
    }

    static boolean suits(int rows, int outputs, int multiprocessors) {
        long blocks = (long) Math.ceilDiv(rows, TILE) * Math.ceilDiv(outputs, TILE);
        return rows > GemmRowsKernel.MOST_ROWS && 2 * blocks >= multiprocessors;
    }

    /** BF16 and aligned to 16 bytes. */
    boolean takes(Tensor x, Tensor w) {
        return fits && x.dtype() == DType.BF16 && GemmRowsKernel.aligned(x, w) && Math.ceilDiv(w.rows(), TILE) <= MOST_GRID_Y;
    }

    void launch(Tensor x, Tensor w, Tensor y, boolean accumulate, int rows) {
        gpu.stream().launch(kernel.get(), Math.ceilDiv(rows, TILE), Math.ceilDiv(w.rows(), TILE), 1, THREADS, 1, SHARED_BYTES,
            GemmRowsKernel.write(arguments, x, w, y, accumulate, rows));
    }
}

package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Tensor;

/** Launches {@code copy_rows.cu}. */
final class CopyRowsKernel {
    private static final KernelSpec UNIT_16 = KernelSpec.of("copy_rows.cu", "copy_rows").with("UNIT", 16);
    private static final KernelSpec UNIT_4 = UNIT_16.with("UNIT", 4);
    private static final KernelSpec UNIT_2 = UNIT_16.with("UNIT", 2);
    private static final int PER_THREAD = 4;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel by16;
    private final LoadedKernel by4;
    private final LoadedKernel by2;

    CopyRowsKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(80);
        this.by16 = new LoadedKernel(gpu, UNIT_16);
        this.by4 = new LoadedKernel(gpu, UNIT_4);
        this.by2 = new LoadedKernel(gpu, UNIT_2);
    }

    static List<KernelSpec> specs() {
        return List.of(UNIT_16, UNIT_4, UNIT_2);
    }

    /** @param from row indices, or null for 0 and on; {@code to} likewise */
    void launch(Tensor src, Tensor from, Tensor dst, Tensor to, int count) {
        if (count == 0 || src.cols() == 0) {
            return;
        }
        int size = src.dtype().bytes();
        long srcStride = Math.multiplyExact(src.rowStride(), size);
        long dstStride = Math.multiplyExact(dst.rowStride(), size);
        long width = (long) src.cols() * size;
        int rows = count;
        if (from == null && to == null && srcStride == width && dstStride == width) {
            width = Math.multiplyExact(width, (long) rows);
            rows = 1;
        }
        int unit = unit(src.address() | dst.address() | width | (rows == 1 ? 0 : srcStride | dstStride));
        int threads = Tiling.threads(width / unit, PER_THREAD);
        int tiles = Tiling.tiles(width / unit, threads, PER_THREAD);
        gpu.stream().launch((unit == 16 ? by16 : unit == 4 ? by4 : by2).get(), Tiling.blocks(rows, tiles), 1, 1, threads, 1, 0,
            arguments.begin().address(src).address(dst).address(from == null ? 0 : from.address()).address(to == null ? 0 : to.address())
                .address(gpu.faults().address()).integer64(srcStride / unit).integer64(dstStride / unit).integer64(width / unit)
                .integer(rows).integer(src.rows()).integer(dst.rows()).integer(tiles).end());
    }

    /** The largest unit that divides all that is or-ed into {@code bits}. */
    static int unit(long bits) {
        return (bits & 15) == 0 ? 16 : (bits & 3) == 0 ? 4 : 2;
    }
}

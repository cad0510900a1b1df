package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code rms_norm_backward.cu}. */
final class RmsNormBackwardKernel {
    private static final KernelSpec BASE = KernelSpec.of("rms_norm_backward.cu", "rms_norm_backward");
    /** Block sizes at which all that a thread keeps fits its registers. */
    private static final int F32_THREADS = 512;
    private static final int BF16_THREADS = 384;

    private final GpuContext gpu;
    private final PartialSums memory;
    private final ColumnSumsKernel columnSums;
    private final Arguments arguments;
    private final LoadedKernel[] kernels = new LoadedKernel[4];

    RmsNormBackwardKernel(GpuContext gpu, ColumnSumsKernel columnSums) {
        this.gpu = gpu;
        this.memory = new PartialSums(gpu);
        this.columnSums = columnSums;
        this.arguments = gpu.arguments(88);
        for (int i = 0; i < 4; i++) {
            kernels[i] = new LoadedKernel(gpu, specs().get(i));
        }
    }

    static List<KernelSpec> specs() {
        KernelSpec f32 = BASE.with("BF16", 0).with("THREADS", F32_THREADS);
        KernelSpec bf16 = BASE.with("BF16", 1).with("THREADS", BF16_THREADS);
        return List.of(f32.with("PARAMETER_BF16", 0), f32.with("PARAMETER_BF16", 1), bf16.with("PARAMETER_BF16", 0),
            bf16.with("PARAMETER_BF16", 1));
    }

    /** The widest rows that a block's registers hold. */
    static int mostColumns(DType dtype) {
        return dtype == DType.BF16 ? BF16_THREADS * 32 : F32_THREADS * 16;
    }

    void launch(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows) {
        if (rows == 0 || x.cols() == 0) {
            return;
        }
        boolean half = x.dtype() == DType.BF16;
        int chunk = chunk(rows);
        int chunks = Math.ceilDiv(rows, chunk);
        long partials = memory.bytes(Math.multiplyExact(4L * chunks, x.cols())).address();
        gpu.stream().launch(kernels[(half ? 2 : 0) + (weight.dtype() == DType.BF16 ? 1 : 0)].get(), chunks, 1, 1,
            RmsNormKernel.threads(x.cols(), x.dtype(), half ? BF16_THREADS : F32_THREADS), 1, 0, arguments.begin().address(x)
                .address(dOut).address(dX).address(weight).address(partials).integer64(x.rowStride()).integer64(dOut.rowStride())
                .integer64(dX.rowStride()).integer(rows).integer(chunk).integer(x.cols()).real(eps).integer(accumulate ? 1 : 0).end());
        columnSums.launch(partials, x.cols(), chunks, dWeight);
    }

    /** Rows of one partial sum: enough blocks for a GPU, and partial sums that are few beside the rows. */
    private static int chunk(int rows) {
        return Math.clamp(Math.ceilDiv(rows, 512), 4, 32);
    }
}

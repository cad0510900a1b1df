package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code rms_norm.cu}. */
final class RmsNormKernel {
    private static final KernelSpec F32 = KernelSpec.of("rms_norm.cu", "rms_norm").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);

    private final GpuContext gpu;
    private final Arguments arguments;

    RmsNormKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(48);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor x, Tensor weight, float eps, Tensor out, int rows) {
        if (rows == 0) {
            return;
        }
        boolean half = x.dtype() == DType.BF16;
        gpu.stream().launch(gpu.kernel(half ? BF16 : F32), rows, 1, 1, threads(x.cols(), half ? 8 : 4), 1, 0, arguments.begin()
            .address(x).address(weight).address(out).integer64(x.rowStride()).integer64(out.rowStride()).integer(x.cols()).real(eps).end());
    }

    /** One turn of 16 bytes a thread if 1024 threads are enough, in whole warps; a function of the columns alone. */
    private static int threads(int cols, int perThread) {
        int turns = (cols + perThread - 1) / perThread;
        return Math.min(1024, Math.max(1, (turns + 31) / 32) * 32);
    }
}

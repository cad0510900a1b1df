package org.respec.kernels.gpu;

import java.util.List;
import java.util.stream.Stream;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code rms_norm.cu}. */
final class RmsNormKernel {
    private static final KernelSpec PLAIN = KernelSpec.of("rms_norm.cu", "rms_norm").with("COPY", 0);
    private static final KernelSpec COPYING = PLAIN.with("COPY", 1);
    /** Runs of 16 bytes that a thread keeps in registers. */
    private static final int TURNS = 4;
    private static final int MOST_THREADS = 1024;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final TypedKernels plain;
    private final TypedKernels copying;

    RmsNormKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(72);
        this.plain = new TypedKernels(gpu, PLAIN, "PARAMETER_BF16");
        this.copying = new TypedKernels(gpu, COPYING, "PARAMETER_BF16");
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return Stream.of(PLAIN, COPYING).flatMap(base -> TypedKernels.specs(base, "PARAMETER_BF16").stream()).toList();
    }

    /**
     * Launches the norm of {@code rows} rows.
     *
     * @param copy where x is copied to, or null
     * @param copyRows the copy's rows, or null for the same
     */
    void launch(Tensor x, Tensor weight, float eps, Tensor copy, Tensor copyRows, Tensor out, int rows) {
        if (rows == 0 || x.cols() == 0) {
            return;
        }
        TypedKernels kernels = copy == null ? plain : copying;
        gpu.stream().launch(kernels.get(x.dtype(), weight.dtype()), rows, 1, 1, threads(x.cols(), x.dtype(), MOST_THREADS), 1, 0,
            arguments.begin().address(x).address(weight).address(out).address(copy == null ? 0 : copy.address())
                .address(copyRows == null ? 0 : copyRows.address()).integer64(x.rowStride()).integer64(out.rowStride())
                .integer64(copy == null ? 0 : copy.rowStride()).integer(x.cols()).real(eps).end());
    }

    /** Whole warps, a function of the columns alone. */
    static int threads(int cols, DType dtype, int most) {
        int perThread = TURNS * 16 / dtype.bytes();
        int turns = (cols + perThread - 1) / perThread;
        return Math.min(most, Math.max(1, (turns + 31) / 32) * 32);
    }
}

package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Tensor;

/** Launches {@code log_probs_backward.cu}. */
final class LogProbsBackwardKernel {
    private static final KernelSpec F32 = KernelSpec.of("log_probs_backward.cu", "log_probs_backward").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);

    private final GpuContext gpu;
    private final LoadedKernel[] kernels;
    private final Arguments arguments;

    LogProbsBackwardKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, specs());
        this.arguments = gpu.arguments(48);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows) {
        if (rows == 0) {
            return;
        }
        gpu.stream().launch(kernels[LogitRows.half(logits) ? 1 : 0].get(), rows, 1, 1, LogitRows.rowThreads(logits), 1, 0,
            arguments.begin().address(logits).address(targets).address(coefficients).address(gpu.faults().address())
                .integer64(logits.rowStride()).integer(logits.cols()).real(LogitRows.inverse(temperature)).end());
    }
}

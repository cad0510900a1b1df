package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Tensor;

/** Launches {@code top_log_probs.cu}. */
final class TopLogProbsKernel {
    /** Most log-probabilities of a row. */
    static final int MAX_K = 1024;
    private static final KernelSpec F32 = KernelSpec.of("top_log_probs.cu", "top_log_probs").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);

    private final GpuContext gpu;
    private final LoadedKernel[] kernels;
    private final Arguments arguments;

    TopLogProbsKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, specs());
        this.arguments = gpu.arguments(88);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails) {
        if (count == 0) {
            return;
        }
        gpu.stream().launch(kernels[LogitRows.half(logits) ? 1 : 0].get(), count, 1, 1, LogitRows.rowThreads(logits), 1, 0,
            arguments.begin().address(logits).address(rowIndices).address(ids).address(logProbs).address(tails)
                .address(gpu.faults().address()).integer64(logits.rowStride()).integer64(ids.rowStride()).integer64(logProbs.rowStride())
                .integer(logits.rows()).integer(logits.cols()).integer(ids.cols()).real(LogitRows.inverse(temperature)).end());
    }
}

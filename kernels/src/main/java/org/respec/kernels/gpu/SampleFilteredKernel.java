package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;

/** Launches {@code sample_filtered.cu}: draws with top-k or top-p. */
final class SampleFilteredKernel {
    private static final KernelSpec F32 = KernelSpec.of("sample_filtered.cu", "sample_filtered").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);

    private final GpuContext gpu;
    private final LoadedKernel[] kernels;
    private final Arguments arguments;

    SampleFilteredKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, specs());
        this.arguments = gpu.arguments(84 + NoiseKey.BYTES);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(F32, BF16);
    }

    void launch(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows) {
        if (rows == 0) {
            return;
        }
        arguments.begin().address(logits).address(batch.positions().device()).address(batch.rowRequests().device())
            .address(batch.requestIds().device()).address(tokens).address(logProbs).address(gpu.faults().address())
            .integer64(logits.rowStride());
        NoiseKey.write(arguments, seed).integer(logits.cols()).integer(batch.maxRequests()).integer(params.topK()).real(params.topP())
            .real(LogitRows.inverse(params.temperature()));
        gpu.stream().launch(kernels[LogitRows.half(logits) ? 1 : 0].get(), rows, 1, 1, LogitRows.rowThreads(logits), 1, 0,
            arguments.end());
    }
}

package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Launches {@code sample.cu}: draws without filters, and log-probabilities of given tokens. */
final class SampleKernel {
    private static final int GREEDY = 0;
    private static final int NOISY = 1;
    private static final int TARGET = 2;
    private static final int PART_BYTES = 16;
    private static final int STATE_BYTES = 8;
    private static final KernelSpec SPEC = KernelSpec.of("sample.cu", "sample");
    /** By mode, F32 then BF16. */
    private static final List<KernelSpec> SPECS = List.of(
        SPEC.with("MODE", GREEDY).with("BF16", 0), SPEC.with("MODE", GREEDY).with("BF16", 1),
        SPEC.with("MODE", NOISY).with("BF16", 0), SPEC.with("MODE", NOISY).with("BF16", 1),
        SPEC.with("MODE", TARGET).with("BF16", 0), SPEC.with("MODE", TARGET).with("BF16", 1));

    private final GpuContext gpu;
    private final LoadedKernel[] kernels;
    private final Arguments arguments;
    private final Workspace parts;
    private final Workspace states;

    SampleKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, SPECS);
        this.arguments = gpu.arguments(104 + NoiseKey.BYTES);
        this.parts = new Workspace(gpu);
        this.states = new Workspace(gpu);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return SPECS;
    }

    void sample(Tensor logits, RowBatch batch, float temperature, long seed, Tensor tokens, Tensor logProbs, int rows) {
        launch(temperature > 0 ? NOISY : GREEDY, logits, batch.positions().device().address(), batch.rowRequests().device().address(),
            batch.requestIds().device().address(), 0, tokens.address(), logProbs.address(), seed, batch.maxRequests(), temperature, rows);
    }

    void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows) {
        launch(TARGET, logits, 0, 0, 0, targets.address(), 0, out.address(), 0, 0, temperature, rows);
    }

    private void launch(int mode, Tensor logits, long positions, long rowRequests, long requestIds, long targets, long tokens,
                        long logProbs, long seed, int requests, float temperature, int rows) {
        if (rows == 0) {
            return;
        }
        int chunks = LogitRows.chunks(logits);
        int blocks = Math.multiplyExact(rows, chunks);
        arguments.begin().address(logits).address(positions).address(rowRequests).address(requestIds).address(targets).address(tokens)
            .address(logProbs).address(parts.address(blocks, PART_BYTES)).address(states.address(rows, STATE_BYTES))
            .address(gpu.faults().address()).integer64(logits.rowStride());
        NoiseKey.write(arguments, seed).integer(logits.cols()).integer(chunks).integer(requests).real(LogitRows.inverse(temperature));
        LoadedKernel kernel = kernels[2 * mode + (LogitRows.half(logits) ? 1 : 0)];
        gpu.stream().launch(kernel.get(), blocks, 1, 1, LogitRows.chunkThreads(logits), 1, 0, arguments.end());
    }
}

package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;

/** Coupled sampling and log-probabilities: checks, then launches. Logits are F32 or BF16. */
final class GpuSampling {
    private final SampleKernel sample;
    private final SampleFilteredKernel filtered;
    private final TopLogProbsKernel topLogProbs;
    private final LogProbsBackwardKernel backward;

    GpuSampling(GpuContext gpu) {
        sample = new SampleKernel(gpu);
        filtered = new SampleFilteredKernel(gpu);
        topLogProbs = new TopLogProbsKernel(gpu);
        backward = new LogProbsBackwardKernel(gpu);
    }

    void sample(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows) {
        LogitRows.check("sample", logits, rows);
        Checks.vector("sample", "tokens", tokens, DType.I32, rows);
        Checks.vector("sample", "logProbs", logProbs, DType.F32, rows);
        Checks.vector("sample", "positions", batch.positions().device(), DType.I32, rows);
        Checks.vector("sample", "rowRequests", batch.rowRequests().device(), DType.I32, rows);
        boolean leavesOut = params.topP() < 1f || (params.topK() > 0 && params.topK() < logits.cols());
        if (params.temperature() > 0 && leavesOut) {
            filtered.launch(logits, batch, params, seed, tokens, logProbs, rows);
        } else {
            sample.sample(logits, batch, params.temperature(), seed, tokens, logProbs, rows);
        }
    }

    void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails) {
        LogitRows.check("topLogProbs", logits, 0);
        int k = ids.cols();
        if (k < 1 || k > Math.min(logits.cols(), TopLogProbsKernel.MAX_K)) {
            throw new IllegalArgumentException("topLogProbs: ids must have 1 to " + Math.min(logits.cols(), TopLogProbsKernel.MAX_K)
                + " columns, got " + ids);
        }
        Checks.vector("topLogProbs", "rowIndices", rowIndices, DType.I32, count);
        Checks.matrix("topLogProbs", "ids", ids, DType.I32, count, k);
        Checks.matrix("topLogProbs", "logProbs", logProbs, count, k);
        Checks.vector("topLogProbs", "tails", tails, DType.F32, count);
        topLogProbs.launch(logits, temperature, rowIndices, count, ids, logProbs, tails);
    }

    void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows) {
        LogitRows.check("logProbs", logits, rows);
        Checks.vector("logProbs", "targets", targets, DType.I32, rows);
        Checks.vector("logProbs", "out", out, DType.F32, rows);
        sample.logProbs(logits, targets, temperature, out, rows);
    }

    void logProbsBackward(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows) {
        LogitRows.check("logProbsBackward", logits, rows);
        Checks.vector("logProbsBackward", "targets", targets, DType.I32, rows);
        Checks.vector("logProbsBackward", "coefficients", coefficients, DType.F32, rows);
        backward.launch(logits, targets, temperature, coefficients, rows);
    }
}

package org.respec.kernels.cpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Fused forward KL divergence from a top-k teacher, with its gradient in place. */
final class CpuLosses {
    private final WorkerPool pool;
    private final WorkerPool.Part part = this::rows;

    private long logits;
    private long logitStride;
    private int vocab;
    private long ids;
    private long idStride;
    private long logProbs;
    private long logProbStride;
    private long tails;
    private long weights;
    private long losses;
    private int topK;
    private int count;
    private float inverse;

    CpuLosses(WorkerPool pool) {
        this.pool = pool;
    }

    void klDistill(Tensor logitTensor, float temperature, Tensor idTensor, Tensor logProbTensor, Tensor tailTensor, Tensor weightTensor,
                   Tensor lossTensor, int rowCount) {
        Checks.matrix("klDistill", "logits", logitTensor, rowCount, logitTensor.cols());
        topK = idTensor.cols();
        Checks.matrix("klDistill", "logProbs", logProbTensor, rowCount, topK);
        Checks.vector("klDistill", "tails", tailTensor, DType.F32, rowCount);
        Checks.vector("klDistill", "weights", weightTensor, DType.F32, rowCount);
        Checks.vector("klDistill", "losses", lossTensor, DType.F32, rowCount);
        if (idTensor.dtype() != DType.I32 || idTensor.rows() < rowCount) {
            throw new IllegalArgumentException("klDistill: ids must be I32 with " + rowCount + " rows or more, got " + idTensor);
        }
        logits = logitTensor.address();
        logitStride = logitTensor.rowStride() * 4;
        vocab = logitTensor.cols();
        ids = idTensor.address();
        idStride = idTensor.rowStride() * 4;
        logProbs = logProbTensor.address();
        logProbStride = logProbTensor.rowStride() * 4;
        tails = tailTensor.address();
        weights = weightTensor.address();
        losses = lossTensor.address();
        count = rowCount;
        inverse = temperature > 0 ? 1f / temperature : 1f;
        pool.run(part, rowCount, Math.max(1, 4096 / vocab));
    }

    private void rows(int from, int to, int thread) {
        for (int r = from; r < to; r++) {
            row(r, logits + r * logitStride, ids + r * idStride, logProbs + r * logProbStride);
        }
    }

    private void row(int r, long row, long id, long teacher) {
        float weight = Simd.get(weights + 4L * r);
        if (weight == 0) {
            for (int x = 0; x < vocab; x++) {
                Simd.put(row + 4L * x, 0f);
            }
            Simd.put(losses + 4L * r, 0f);
            return;
        }
        float max = Float.NEGATIVE_INFINITY;
        for (int x = 0; x < vocab; x++) {
            max = Math.max(max, Simd.get(row + 4L * x) * inverse);
        }
        double total = 0;
        for (int x = 0; x < vocab; x++) {
            total += FastMath.exp(Simd.get(row + 4L * x) * inverse - max);
        }
        double log = max + Math.log(total);
        double loss = 0;
        double named = 0;
        for (int k = 0; k < topK; k++) {
            int token = Simd.getInt(id + 4L * k);
            if (token < 0 || token >= vocab) {
                throw new IllegalArgumentException("klDistill: ids[" + r + "][" + k + "] must be 0 to " + (vocab - 1) + ", got " + token);
            }
            double logQ = Simd.get(row + 4L * token) * (double) inverse - log;
            double logP = Simd.get(teacher + 4L * k);
            named += Math.exp(logQ);
            loss += Math.exp(logP) * (logP - logQ);
        }
        double logTail = Simd.get(tails + 4L * r);
        double tail = logTail <= -30 ? 0 : Math.exp(logTail);
        // What the student leaves for all other tokens; rounding may leave nothing, and then the ratio below must stay finite.
        double rest = Math.max(1 - named, 1e-9);
        if (tail > 0) {
            loss += tail * (logTail - Math.log(rest));
        }
        float scale = weight * inverse;
        float outside = (float) (scale * (1 - tail / rest) / total);
        float share = (float) (scale / total);
        for (int x = 0; x < vocab; x++) {
            Simd.put(row + 4L * x, FastMath.exp(Simd.get(row + 4L * x) * inverse - max));
        }
        // The row now holds exponentials: named tokens, are marked by their sign bit.
        for (int k = 0; k < topK; k++) {
            long at = row + 4L * Simd.getInt(id + 4L * k);
            Simd.put(at, -Simd.get(at));
        }
        for (int x = 0; x < vocab; x++) {
            float e = Simd.get(row + 4L * x);
            boolean isNamed = Float.floatToRawIntBits(e) < 0;
            Simd.put(row + 4L * x, isNamed ? -e * share : e * outside);
        }
        for (int k = 0; k < topK; k++) {
            long at = row + 4L * Simd.getInt(id + 4L * k);
            Simd.put(at, Simd.get(at) - (float) (scale * Math.exp(Simd.get(teacher + 4L * k))));
        }
        Simd.put(losses + 4L * r, (float) loss);
    }
}

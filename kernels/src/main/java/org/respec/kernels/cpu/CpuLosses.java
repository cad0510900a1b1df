package org.respec.kernels.cpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.DistillationChecks;
import org.respec.kernels.Tensor;

/** Fused forward KL divergence from a top-k teacher, or its blend with total variation, with the gradient in place. */
final class CpuLosses {
    /** What the student leaves for all other tokens counts as no less than this, so that tail / rest stays finite. */
    private static final double LEAST_REST = 1e-9;

    private final WorkerPool pool;
    private final WorkerPool.Part part = this::rows;
    /** Per thread: the student's ids of the named tokens and their logits over the maximum. */
    private final int[][] named;
    private final float[][] namedLogits;

    private long logits;
    private long logitStride;
    private int vocab;
    private long ids;
    private long idStride;
    private long logProbs;
    private long logProbStride;
    private long tails;
    private long map;
    private int teacherVocab;
    private long weights;
    private long losses;
    private int topK;
    private float inverse;
    private double variation;

    CpuLosses(WorkerPool pool) {
        this.pool = pool;
        named = new int[pool.threads()][0];
        namedLogits = new float[pool.threads()][0];
    }

    void klDistill(Tensor logitTensor, float temperature, Tensor idTensor, Tensor logProbTensor, Tensor tailTensor, Tensor mapTensor,
                   float tvWeight, Tensor weightTensor, Tensor lossTensor, int rowCount) {
        Checks.dtype("klDistill", "logits", logitTensor, DType.F32);
        DistillationChecks.topK(logitTensor, idTensor, logProbTensor, tailTensor, mapTensor, tvWeight, weightTensor, lossTensor, rowCount);
        variation = tvWeight;
        topK = idTensor.cols();
        logits = logitTensor.address();
        logitStride = logitTensor.rowStride() * 4;
        vocab = logitTensor.cols();
        ids = idTensor.address();
        idStride = idTensor.rowStride() * 4;
        logProbs = logProbTensor.address();
        logProbStride = logProbTensor.rowStride() * 4;
        tails = tailTensor.address();
        map = mapTensor == null ? 0 : mapTensor.address();
        teacherVocab = mapTensor == null ? vocab : mapTensor.cols();
        weights = weightTensor.address();
        losses = lossTensor.address();
        inverse = temperature > 0 ? 1f / temperature : 1f;
        if (named[0].length < topK) {
            for (int t = 0; t < named.length; t++) {
                named[t] = new int[topK];
                namedLogits[t] = new float[topK];
            }
        }
        pool.run(part, rowCount, vocab);
    }

    private void rows(int from, int to, int thread) {
        for (int r = from; r < to; r++) {
            float loss = 0;
            if (Simd.get(weights + 4L * r) == 0) {
                for (int x = 0; x < vocab; x++) {
                    Simd.put(logits + r * logitStride + 4L * x, 0f);
                }
            } else {
                loss = row(r, logits + r * logitStride, logProbs + r * logProbStride, named[thread], namedLogits[thread]);
            }
            Simd.put(losses + 4L * r, loss);
        }
    }

    private float row(int r, long row, long teacher, int[] tokens, float[] shifted) {
        findNamed(r, tokens);
        float max = Float.NEGATIVE_INFINITY;
        for (int x = 0; x < vocab; x++) {
            max = Math.max(max, Simd.get(row + 4L * x) * inverse);
        }
        for (int k = 0; k < topK; k++) {
            shifted[k] = tokens[k] < 0 ? 0 : Simd.get(row + 4L * tokens[k]) * inverse - max;
        }
        for (int x = 0; x < vocab; x++) {
            Simd.put(row + 4L * x, FastMath.exp(Simd.get(row + 4L * x) * inverse - max));
        }
        // The row now holds exponentials; named tokens are marked by their sign bit.
        double total = 0;
        for (int k = 0; k < topK; k++) {
            if (tokens[k] >= 0) {
                long at = row + 4L * tokens[k];
                total += Simd.get(at);
                Simd.put(at, -Simd.get(at));
            }
        }
        double others = 0;
        for (int x = 0; x < vocab; x++) {
            float e = Simd.get(row + 4L * x);
            others += Float.floatToRawIntBits(e) < 0 ? 0 : e;
        }
        total += others;
        double loss = 0;
        double missing = 0;
        for (int k = 0; k < topK; k++) {
            double logP = Simd.get(teacher + 4L * k);
            double p = Math.exp(logP);
            if (tokens[k] < 0) {
                missing += p;
            } else if (p > 0) {
                loss += p * (logP - (shifted[k] - Math.log(total)));
            }
        }
        double logTail = Simd.get(tails + 4L * r);
        double tail = (logTail <= -30 ? 0 : Math.exp(logTail)) + missing;
        double rest = Math.max(others / total, LEAST_REST);
        if (tail > 0) {
            loss += tail * Math.log(tail / rest);
        }
        float scale = Simd.get(weights + 4L * r) * inverse;
        double factor = 1 - tail / rest;
        double mean = 0;
        if (variation > 0) {
            double outside = Math.signum(rest - tail) / 2;
            double distance = Math.abs(rest - tail) / 2;
            mean = rest * outside;
            for (int k = 0; k < topK; k++) {
                if (tokens[k] >= 0) {
                    double q = -Simd.get(row + 4L * tokens[k]) / total;
                    double p = Math.exp(Simd.get(teacher + 4L * k));
                    distance += Math.abs(q - p) / 2;
                    mean += q * Math.signum(q - p) / 2;
                }
            }
            loss += variation * (distance - loss);
            factor += variation * (outside - mean - factor);
        }
        gradient(row, teacher, tokens, shifted, scale, total, factor, mean);
        return (float) loss;
    }

    /** The named tokens' ids in the student's vocabulary, -1 for those it lacks. Nothing is written to the row before all are known. */
    private void findNamed(int r, int[] tokens) {
        for (int k = 0; k < topK; k++) {
            int token = Simd.getInt(ids + r * idStride + 4L * k);
            if (token < 0 || token >= teacherVocab) {
                throw new IllegalArgumentException("klDistill: ids[" + r + "][" + k + "] must be 0 to " + (teacherVocab - 1) + ", got "
                    + token);
            }
            if (map != 0) {
                int teacherToken = token;
                token = Simd.getInt(map + 4L * token);
                if (token < -1 || token >= vocab) {
                    throw new IllegalArgumentException("klDistill: idMap[" + teacherToken + "] must be -1 to " + (vocab - 1) + ", got "
                        + token);
                }
            }
            tokens[k] = token;
        }
    }

    /**
     * Exponentials to gradients.
     *
     * @param named scratch for the named tokens' gradients
     * @param factor of an unnamed token's probability
     * @param mean of the signs of total variation
     */
    private void gradient(long row, long teacher, int[] tokens, float[] named, float scale, double total, double factor, double mean) {
        float outside = (float) (scale * factor / total);
        float share = (float) (scale / total);
        for (int k = 0; k < topK; k++) {
            if (tokens[k] >= 0) {
                float e = -Simd.get(row + 4L * tokens[k]);
                double p = Math.exp(Simd.get(teacher + 4L * k));
                float value = e * share - (float) (scale * p);
                if (variation > 0) {
                    double q = e / total;
                    value += (float) (variation * (scale * q * (Math.signum(q - p) / 2 - mean) - value));
                }
                named[k] = value;
            }
        }
        for (int x = 0; x < vocab; x++) {
            Simd.put(row + 4L * x, Simd.get(row + 4L * x) * outside);
        }
        for (int k = 0; k < topK; k++) {
            if (tokens[k] >= 0) {
                Simd.put(row + 4L * tokens[k], named[k]);
            }
        }
    }
}

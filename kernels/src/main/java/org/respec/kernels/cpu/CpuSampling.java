package org.respec.kernels.cpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.NoiseField;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;

/** Drawing tokens, and log-probabilities of given ones. */
final class CpuSampling {
    private final WorkerPool pool;
    private final Scratch[] scratch;
    private final WorkerPool.Part samplePart = this::sampleRows;
    private final WorkerPool.Part topPart = this::topRows;

    private long logits;
    private long logitStride;
    private int vocab;
    private int rows;
    private SamplingParams params;
    private long seed;
    private long positions;
    private long rowRequests;
    private long requestIds;
    private long tokens;
    private long logProbs;
    private long indices;
    private long ids;
    private long idStride;
    private long logProbStride;
    private long tails;
    private int topK;
    private float temperature;

    CpuSampling(WorkerPool pool) {
        this.pool = pool;
        this.scratch = new Scratch[pool.threads()];
        for (int i = 0; i < scratch.length; i++) {
            scratch[i] = new Scratch();
        }
    }

    /** What one thread works with; {@code noise} holds one position's field, kept from row to row while it is the same. */
    private static final class Scratch {
        private float[] noise = new float[0];
        private float[] scaled = new float[0];
        private float[] sorted = new float[0];
        private float[] masses = new float[0];
        private int[] words = new int[0];
        private long noiseRequest;
        private int noisePosition = -1;

        void fit(int vocab) {
            noisePosition = -1;
            int padded = FastMath.padded(vocab);
            if (noise.length < padded) {
                noise = new float[padded];
                scaled = new float[padded];
                sorted = new float[padded];
                masses = new float[padded];
                words = new int[padded];
            }
        }
    }

    private void logits(String operator, Tensor logitTensor, int rowCount) {
        Checks.matrix(operator, "logits", logitTensor, rowCount, logitTensor.cols());
        logits = logitTensor.address();
        logitStride = logitTensor.rowStride() * 4;
        vocab = logitTensor.cols();
        for (Scratch s : scratch) {
            s.fit(vocab);
        }
    }

    private void run(WorkerPool.Part part, int count) {
        pool.run(part, count, 4L * vocab);
    }

    void sample(Tensor logitTensor, RowBatch batch, SamplingParams sampling, long noiseSeed, Tensor tokenTensor, Tensor logProbTensor,
                int rowCount) {
        logits("sample", logitTensor, rowCount);
        Checks.vector("sample", "tokens", tokenTensor, DType.I32, rowCount);
        Checks.vector("sample", "logProbs", logProbTensor, DType.F32, rowCount);
        Checks.vector("sample", "positions", batch.positions().device(), DType.I32, rowCount);
        Checks.indices("sample", "rowRequests", batch.rowRequests().device(), rowCount, batch.maxRequests());
        rows = rowCount;
        params = sampling;
        seed = noiseSeed;
        positions = batch.positions().device().address();
        rowRequests = batch.rowRequests().device().address();
        requestIds = batch.requestIds().device().address();
        tokens = tokenTensor.address();
        logProbs = logProbTensor.address();
        run(samplePart, rowCount);
    }

    private void sampleRows(int from, int to, int thread) {
        Scratch s = scratch[thread];
        for (int r = from; r < to; r++) {
            long row = logits + r * logitStride;
            float inverse = params.temperature() > 0 ? 1f / params.temperature() : 1f;
            float max = scale(s, row, inverse, r);
            if (params.temperature() > 0) {
                if (params.filters()) {
                    filter(s, max);
                }
                long request = Simd.getLong(requestIds + 8L * Simd.getInt(rowRequests + 4L * r));
                int position = Simd.getInt(positions + 4L * r) + 1;
                if (s.noisePosition != position || s.noiseRequest != request) {
                    NoiseField.fill(seed, request, position, vocab, s.words, s.noise);
                    s.noisePosition = position;
                    s.noiseRequest = request;
                }
            }
            int best = params.temperature() > 0 ? perturbedArgmax(s) : argmax(s);
            Simd.putInt(tokens + 4L * r, best);
            Simd.put(logProbs + 4L * r, (s.scaled[best] - max) - (float) Math.log(mass(s, max)));
        }
    }

    /** Copies a row times {@code inverse} to {@code s.scaled}, filled up with -inf; returns the maximum. */
    private float scale(Scratch s, long row, float inverse, int r) {
        float max = Float.NEGATIVE_INFINITY;
        boolean nan = false;
        float[] scaled = s.scaled;
        for (int x = 0; x < vocab; x++) {
            float z = Simd.get(row + 4L * x) * inverse;
            scaled[x] = z;
            nan |= z != z;
            max = Math.max(max, z);
        }
        if (nan || max == Float.NEGATIVE_INFINITY || max == Float.POSITIVE_INFINITY) {
            throw new IllegalStateException("logits of row " + r + (nan ? " hold a NaN" : " have the maximum " + max)
                + ": the model's weights are broken");
        }
        for (int x = vocab; x < FastMath.padded(vocab); x++) {
            scaled[x] = Float.NEGATIVE_INFINITY;
        }
        return max;
    }

    /** Fills {@code s.masses} with exp(scaled - max); returns their sum. */
    private float mass(Scratch s, float max) {
        return FastMath.expAndSum(s.scaled, FastMath.padded(vocab), max, s.masses);
    }

    private int argmax(Scratch s) {
        int best = 0;
        for (int x = 1; x < vocab; x++) {
            if (s.scaled[x] > s.scaled[best]) {
                best = x;
            }
        }
        return best;
    }

    private int perturbedArgmax(Scratch s) {
        int best = -1;
        float top = Float.NEGATIVE_INFINITY;
        for (int x = 0; x < vocab; x++) {
            float value = s.scaled[x] + s.noise[x];
            if (value > top) {
                top = value;
                best = x;
            }
        }
        return best;
    }

    /** Sets to -inf what top-k and then top-p leave out; of equal logits the smaller tokens stay. */
    private void filter(Scratch s, float max) {
        float[] scaled = s.scaled;
        System.arraycopy(scaled, 0, s.sorted, 0, vocab);
        java.util.Arrays.sort(s.sorted, 0, vocab);
        int keep = params.topK() > 0 ? Math.min(params.topK(), vocab) : vocab;
        if (params.topP() < 1f) {
            double total = 0;
            for (int i = 0; i < keep; i++) {
                total += FastMath.exp(s.sorted[vocab - 1 - i] - max);
            }
            double reach = params.topP() * total;
            double sum = 0;
            int count = 0;
            while (count < keep && sum < reach) {
                sum += FastMath.exp(s.sorted[vocab - 1 - count++] - max);
            }
            keep = Math.max(1, count);
        }
        float least = s.sorted[vocab - keep];
        int above = 0;
        for (int x = 0; x < vocab; x++) {
            above += scaled[x] > least ? 1 : 0;
        }
        int ties = keep - above;
        for (int x = 0; x < vocab; x++) {
            if (scaled[x] < least || (scaled[x] == least && ties-- <= 0)) {
                scaled[x] = Float.NEGATIVE_INFINITY;
            }
        }
    }

    // -------------------------------------------------------------------------------------------------- log-probabilities

    void topLogProbs(Tensor logitTensor, float heat, Tensor rowIndices, int count, Tensor idTensor, Tensor logProbTensor,
                     Tensor tailTensor) {
        logits("topLogProbs", logitTensor, 0);
        topK = idTensor.cols();
        Checks.indices("topLogProbs", "rowIndices", rowIndices, count, logitTensor.rows());
        Checks.matrix("topLogProbs", "logProbs", logProbTensor, count, topK);
        Checks.vector("topLogProbs", "tails", tailTensor, DType.F32, count);
        if (idTensor.dtype() != DType.I32 || idTensor.rows() < count || topK > vocab) {
            throw new IllegalArgumentException("topLogProbs: ids must be I32 with " + count + " rows or more of at most " + vocab
                + " columns, got " + idTensor);
        }
        rows = count;
        temperature = heat;
        indices = rowIndices.address();
        ids = idTensor.address();
        idStride = idTensor.rowStride() * 4;
        logProbs = logProbTensor.address();
        logProbStride = logProbTensor.rowStride() * 4;
        tails = tailTensor.address();
        run(topPart, count);
    }

    private void topRows(int from, int to, int thread) {
        Scratch s = scratch[thread];
        for (int i = from; i < to; i++) {
            int row = Simd.getInt(indices + 4L * i);
            float max = scale(s, logits + row * logitStride, temperature > 0 ? 1f / temperature : 1f, row);
            double total = mass(s, max);
            float log = max + (float) Math.log(total);
            double left = total;
            int found = 0;
            // Insertion into a short sorted list, kept in the output itself.
            for (int x = 0; x < vocab; x++) {
                float z = s.scaled[x];
                if (found == topK && z <= Simd.get(logProbs + i * logProbStride + 4L * (topK - 1))) {
                    continue;
                }
                int at = Math.min(found, topK - 1);
                while (at > 0 && Simd.get(logProbs + i * logProbStride + 4L * (at - 1)) < z) {
                    Simd.put(logProbs + i * logProbStride + 4L * at, Simd.get(logProbs + i * logProbStride + 4L * (at - 1)));
                    Simd.putInt(ids + i * idStride + 4L * at, Simd.getInt(ids + i * idStride + 4L * (at - 1)));
                    at--;
                }
                Simd.put(logProbs + i * logProbStride + 4L * at, z);
                Simd.putInt(ids + i * idStride + 4L * at, x);
                found = Math.min(topK, found + 1);
            }
            for (int k = 0; k < topK; k++) {
                long at = logProbs + i * logProbStride + 4L * k;
                left -= FastMath.exp(Simd.get(at) - max);
                Simd.put(at, Simd.get(at) - log);
            }
            Simd.put(tails + 4L * i, (float) Math.max(-30, Math.log(Math.max(left / total, 1e-30))));
        }
    }

    void logProbs(Tensor logitTensor, Tensor targets, float heat, Tensor out, int rowCount) {
        logits("logProbs", logitTensor, rowCount);
        Checks.indices("logProbs", "targets", targets, rowCount, vocab);
        Checks.vector("logProbs", "out", out, DType.F32, rowCount);
        Scratch s = scratch[0];
        for (int r = 0; r < rowCount; r++) {
            float max = scale(s, logits + r * logitStride, heat > 0 ? 1f / heat : 1f, r);
            float z = s.scaled[Simd.getInt(targets.address() + 4L * r)];
            Simd.put(out.address() + 4L * r, (z - max) - (float) Math.log(mass(s, max)));
        }
    }

    void logProbsBackward(Tensor logitTensor, Tensor targets, float heat, Tensor coefficients, int rowCount) {
        logits("logProbsBackward", logitTensor, rowCount);
        Checks.indices("logProbsBackward", "targets", targets, rowCount, vocab);
        Checks.vector("logProbsBackward", "coefficients", coefficients, DType.F32, rowCount);
        Scratch s = scratch[0];
        float inverse = heat > 0 ? 1f / heat : 1f;
        for (int r = 0; r < rowCount; r++) {
            long row = logits + r * logitStride;
            float coefficient = Simd.get(coefficients.address() + 4L * r) * inverse;
            if (coefficient == 0) {
                for (int x = 0; x < vocab; x++) {
                    Simd.put(row + 4L * x, 0f);
                }
                continue;
            }
            float max = scale(s, row, inverse, r);
            float share = -coefficient / mass(s, max);
            for (int x = 0; x < vocab; x++) {
                Simd.put(row + 4L * x, share * s.masses[x]);
            }
            long target = row + 4L * Simd.getInt(targets.address() + 4L * r);
            Simd.put(target, Simd.get(target) + coefficient);
        }
    }
}

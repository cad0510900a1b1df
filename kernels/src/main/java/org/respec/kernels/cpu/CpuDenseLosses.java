package org.respec.kernels.cpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.DistillationChecks;
import org.respec.kernels.Tensor;

/** Fused forward KL divergence from a teacher's whole row, with its gradient in place; logarithms and sums in doubles. */
final class CpuDenseLosses {
    private final WorkerPool pool;
    private final WorkerPool.Part part = this::rows;

    private long logits;
    private long logitStride;
    private int vocab;
    private long teacher;
    private long teacherStride;
    private long columns;
    private long weights;
    private long losses;
    private double inverse;
    private double teacherInverse;

    CpuDenseLosses(WorkerPool pool) {
        this.pool = pool;
    }

    void klDistillDense(Tensor logitTensor, float temperature, Tensor teacherTensor, float teacherTemperature, Tensor columnTensor,
                        Tensor weightTensor, Tensor lossTensor, int rowCount) {
        Checks.dtype("klDistillDense", "logits", logitTensor, DType.F32);
        Checks.dtype("klDistillDense", "teacher", teacherTensor, DType.F32);
        DistillationChecks.dense(logitTensor, teacherTensor, columnTensor, weightTensor, lossTensor, rowCount);
        if (columnTensor != null) {
            Checks.indices("klDistillDense", "columns", columnTensor, logitTensor.cols(), teacherTensor.cols());
        }
        logits = logitTensor.address();
        logitStride = logitTensor.rowStride() * 4;
        vocab = logitTensor.cols();
        teacher = teacherTensor.address();
        teacherStride = teacherTensor.rowStride() * 4;
        columns = columnTensor == null ? 0 : columnTensor.address();
        weights = weightTensor.address();
        losses = lossTensor.address();
        inverse = temperature > 0 ? 1.0 / temperature : 1;
        teacherInverse = teacherTemperature > 0 ? 1.0 / teacherTemperature : 1;
        pool.run(part, rowCount, vocab);
    }

    private void rows(int from, int to, int thread) {
        for (int r = from; r < to; r++) {
            Simd.put(losses + 4L * r, row(logits + r * logitStride, teacher + r * teacherStride, Simd.get(weights + 4L * r)));
        }
    }

    private double teacherLogit(long row, int x) {
        return Simd.get(row + 4L * (columns == 0 ? x : Simd.getInt(columns + 4L * x))) * teacherInverse;
    }

    private float row(long student, long taught, float weight) {
        double max = Double.NEGATIVE_INFINITY;
        double teacherMax = Double.NEGATIVE_INFINITY;
        for (int x = 0; x < vocab && weight != 0; x++) {
            max = Math.max(max, Simd.get(student + 4L * x) * inverse);
            teacherMax = Math.max(teacherMax, teacherLogit(taught, x));
        }
        if (teacherMax == Double.NEGATIVE_INFINITY) {
            for (int x = 0; x < vocab; x++) {
                Simd.put(student + 4L * x, 0f);
            }
            return 0;
        }
        double sum = 0;
        double teacherSum = 0;
        for (int x = 0; x < vocab; x++) {
            sum += Math.exp(Simd.get(student + 4L * x) * inverse - max);
            teacherSum += Math.exp(teacherLogit(taught, x) - teacherMax);
        }
        double log = max + Math.log(sum);
        double teacherLog = teacherMax + Math.log(teacherSum);
        double loss = 0;
        for (int x = 0; x < vocab; x++) {
            double logQ = Simd.get(student + 4L * x) * inverse - log;
            double logP = teacherLogit(taught, x) - teacherLog;
            double p = Math.exp(logP);
            loss += p > 0 ? p * (logP - logQ) : 0;
            Simd.put(student + 4L * x, (float) (weight * inverse * (Math.exp(logQ) - p)));
        }
        return (float) loss;
    }
}

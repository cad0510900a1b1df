package org.respec.kernels.cpu;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.respec.bindings.blas.OpenBlas;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/**
 * Gradients of matrix products by OpenBLAS, the gradient's norm, and AdamW. Work is cut into blocks of fixed size, each computed by
 * one thread, so that bits do not depend on how many threads there are.
 */
final class CpuUpdate {
    /** Rows of dX computed by one product. */
    private static final int ROW_BLOCK = 128;
    /**
     * Rows and columns of dW computed by one product. (2048 rows, two cores of Zen 5 with OpenBLAS' kernels for AVX-512: 217 to 229
     * GFLOP/s for four shapes of weights. In blocks over all columns 128 outputs of 384 inputs had 216 in one process and 124 in another.)
     */
    private static final int OUTPUT_BLOCK = 64;
    private static final int INPUT_BLOCK = 128;
    /** Elements of one partial sum of the norm. */
    private static final int NORM_BLOCK = 1 << 16;

    /** Less than any block takes: all of them are worth sharing. */
    private static final long BLOCK_NANOS = 50_000;

    private final WorkerPool pool;
    private final OpenBlas blas;

    CpuUpdate(WorkerPool pool, OpenBlas blas) {
        this.pool = pool;
        this.blas = blas;
    }

    /** Runs blocks 0 to {@code blocks - 1}. */
    private void blocks(int blocks, java.util.function.IntConsumer block) {
        pool.run((from, to, thread) -> {
            for (int i = from; i < to; i++) {
                block.accept(i);
            }
        }, blocks, BLOCK_NANOS);
    }

    void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        Checks.matrix("linearBackwardInput", "dY", dY, rows, weight.rows());
        Checks.shape("linearBackwardInput", "weight", weight, weight.rows(), weight.cols());
        Checks.matrix("linearBackwardInput", "dX", dX, rows, weight.cols());
        Checks.disjoint("linearBackwardInput", "dX", dX, "dY", dY);
        MemorySegment w = weight.host();
        MemorySegment from = dY.host();
        MemorySegment to = dX.host();
        blocks(Math.ceilDiv(rows, ROW_BLOCK), b -> {
            int first = b * ROW_BLOCK;
            int count = Math.min(ROW_BLOCK, rows - first);
            blas.sgemm(false, false, count, weight.cols(), weight.rows(), from.asSlice(4 * first * dY.rowStride()),
                Math.toIntExact(dY.rowStride()), w, Math.toIntExact(weight.rowStride()), accumulate ? 1f : 0f,
                to.asSlice(4 * first * dX.rowStride()), Math.toIntExact(dX.rowStride()));
        });
    }

    void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        Checks.matrix("linearBackwardWeight", "dY", dY, rows, dWeight.rows());
        Checks.matrix("linearBackwardWeight", "x", x, rows, dWeight.cols());
        Checks.dtype("linearBackwardWeight", "dWeight", dWeight, DType.F32);
        if (rows == 0) {
            return;
        }
        MemorySegment from = dY.host();
        MemorySegment inputs = x.host();
        MemorySegment to = dWeight.host();
        int across = Math.ceilDiv(dWeight.cols(), INPUT_BLOCK);
        blocks(Math.ceilDiv(dWeight.rows(), OUTPUT_BLOCK) * across, b -> {
            int first = b / across * OUTPUT_BLOCK;
            int count = Math.min(OUTPUT_BLOCK, dWeight.rows() - first);
            int left = b % across * INPUT_BLOCK;
            int width = Math.min(INPUT_BLOCK, dWeight.cols() - left);
            blas.sgemm(true, false, count, width, rows, from.asSlice(4L * first), Math.toIntExact(dY.rowStride()),
                inputs.asSlice(4L * left), Math.toIntExact(x.rowStride()), 1f, to.asSlice(4 * (first * dWeight.rowStride() + left)),
                Math.toIntExact(dWeight.rowStride()));
        });
    }

    double squaredNorm(Tensor x) {
        Checks.dtype("squaredNorm", "x", x, DType.F32);
        if (!x.contiguous()) {
            throw new IllegalArgumentException("squaredNorm: x must lie without gaps, got " + x);
        }
        long size = x.size();
        int count = Math.toIntExact(Math.ceilDiv(size, (long) NORM_BLOCK));
        double[] sums = new double[count];
        long base = x.address();
        blocks(count, b -> {
            long first = (long) b * NORM_BLOCK;
            long end = Math.min(size, first + NORM_BLOCK);
            double s0 = 0;
            double s1 = 0;
            for (long i = first; i + 1 < end; i += 2) {
                double u = Simd.get(base + 4 * i);
                double v = Simd.get(base + 4 * i + 4);
                s0 += u * u;
                s1 += v * v;
            }
            if ((end - first) % 2 == 1) {
                double u = Simd.get(base + 4 * (end - 1));
                s0 += u * u;
            }
            sums[b] = s0 + s1;
        });
        double sum = 0;
        for (double s : sums) {
            sum += s;
        }
        return sum;
    }

    void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps,
               float weightDecay, int step, float gradientScale) {
        int size = weights.cols();
        Checks.shape("adamW", "weights", weights, 1, size);
        Checks.shape("adamW", "gradients", gradients, 1, size);
        Checks.shape("adamW", "first", first, 1, size);
        Checks.shape("adamW", "second", second, 1, size);
        if (step < 1) {
            throw new IllegalArgumentException("adamW: step must be 1 or more, got " + step);
        }
        float correction1 = (float) (1 / (1 - Math.pow(beta1, step)));
        float correction2 = (float) (1 / (1 - Math.pow(beta2, step)));
        float decay = 1 - learningRate * weightDecay;
        long w = weights.address();
        long g = gradients.address();
        long m = first.address();
        long v = second.address();
        blocks(Math.ceilDiv(size, NORM_BLOCK), b -> {
            int from = b * NORM_BLOCK;
            int to = Math.min(size, from + NORM_BLOCK);
            int i = from;
            for (; i <= to - Simd.LANES; i += Simd.LANES) {
                long at = 4L * i;
                FloatVector grad = Simd.load(g + at).mul(gradientScale);
                FloatVector mean = Simd.load(m + at).mul(beta1).add(grad.mul(1 - beta1));
                FloatVector square = Simd.load(v + at).mul(beta2).add(grad.mul(grad).mul(1 - beta2));
                FloatVector update = mean.mul(correction1).div(square.mul(correction2).sqrt().add(eps)).mul(learningRate);
                Simd.store(mean, m + at);
                Simd.store(square, v + at);
                Simd.store(Simd.load(w + at).mul(decay).sub(update), w + at);
            }
            for (; i < to; i++) {
                long at = 4L * i;
                float grad = Simd.get(g + at) * gradientScale;
                float mean = Simd.get(m + at) * beta1 + grad * (1 - beta1);
                float square = Simd.get(v + at) * beta2 + grad * grad * (1 - beta2);
                Simd.put(m + at, mean);
                Simd.put(v + at, square);
                float update = mean * correction1 / ((float) Math.sqrt(square * correction2) + eps) * learningRate;
                Simd.put(w + at, Simd.get(w + at) * decay - update);
            }
        });
    }
}

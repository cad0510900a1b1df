package org.respec.kernels.cpu;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.respec.bindings.blas.OpenBlas;
import org.respec.bindings.memory.HostArena;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/**
 * Gradients of matrix products by OpenBLAS, the gradient's norm, and AdamW. Work is cut into blocks of fixed size, each computed by
 * one thread, so that bits do not depend on how many threads there are.
 */
final class CpuUpdate implements AutoCloseable {
    /** Rows of dX computed by one product. (128 rows, which read the weights more often, were 4 to 20 % slower.) */
    private static final int INPUT_ROWS = 256;
    /**
     * Rows and columns of dW computed by one product. OpenBLAS copies all that it multiplies, so that small blocks cost most: 2048 rows,
     * two cores of a Xeon, in updates of the bundled model, blocks of 64 x 128 over all rows had 108 to 180 GFLOP/s for four shapes of
     * weights, and have 160 to 240.
     */
    private static final int WEIGHT_BLOCK = 384;
    /**
     * Of weights that are fewer blocks than this, rows are parted too, so that many threads have work: into parts of at least so many
     * rows, whose sums are added up in order.
     */
    private static final int FEW_BLOCKS = 8;
    private static final int PART_ROWS = 256;
    private static final int MOST_PARTS = 8;
    /** Elements of one partial sum of the norm. */
    private static final int NORM_BLOCK = 1 << 16;

    /** Less than any block takes: all of them are worth sharing. */
    private static final long BLOCK_NANOS = 50_000;

    private final WorkerPool pool;
    private final OpenBlas blas;
    private HostArena memory;
    /** dW over all parts of the rows but the first, [parts - 1][outputs][inputs]; null before it is first needed. */
    private HostStorage partialSums;

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
        blocks(Math.ceilDiv(rows, INPUT_ROWS), b -> {
            int first = b * INPUT_ROWS;
            int count = Math.min(INPUT_ROWS, rows - first);
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
        int across = Math.ceilDiv(dWeight.cols(), WEIGHT_BLOCK);
        int weightBlocks = Math.ceilDiv(dWeight.rows(), WEIGHT_BLOCK) * across;
        int partRows = weightBlocks < FEW_BLOCKS ? Math.max(PART_ROWS, Math.ceilDiv(rows, MOST_PARTS)) : rows;
        int parts = Math.ceilDiv(rows, partRows);
        long size = 4L * dWeight.rows() * dWeight.cols();
        MemorySegment from = dY.host();
        MemorySegment inputs = x.host();
        MemorySegment to = dWeight.host();
        MemorySegment more = parts > 1 ? partialSums((parts - 1) * size) : null;
        blocks(parts * weightBlocks, b -> {
            int part = b / weightBlocks;
            int row = part * partRows;
            int first = b % weightBlocks / across * WEIGHT_BLOCK;
            int count = Math.min(WEIGHT_BLOCK, dWeight.rows() - first);
            int left = b % across * WEIGHT_BLOCK;
            int width = Math.min(WEIGHT_BLOCK, dWeight.cols() - left);
            MemorySegment sums = part == 0 ? to : more.asSlice((part - 1) * size, size);
            long stride = part == 0 ? dWeight.rowStride() : dWeight.cols();
            blas.sgemm(true, false, count, width, Math.min(partRows, rows - row), from.asSlice(4 * (row * dY.rowStride() + first)),
                Math.toIntExact(dY.rowStride()), inputs.asSlice(4 * (row * x.rowStride() + left)), Math.toIntExact(x.rowStride()),
                part == 0 ? 1f : 0f, sums.asSlice(4 * (first * stride + left)), Math.toIntExact(stride));
        });
        if (parts > 1) {
            add(more.address(), parts - 1, size, dWeight);
        }
    }

    /** Adds matrices of {@code size} bytes that lie one behind the other at {@code from}. */
    private void add(long from, int matrices, long size, Tensor to) {
        int cols = to.cols();
        long target = to.address();
        pool.run((begin, end, thread) -> {
            for (int r = begin; r < end; r++) {
                for (int m = 0; m < matrices; m++) {
                    Simd.axpy(1f, from + m * size + 4L * r * cols, target + 4 * r * to.rowStride(), cols);
                }
            }
        }, to.rows(), (long) matrices * cols / Simd.LANES);
    }

    private MemorySegment partialSums(long bytes) {
        if (partialSums == null || partialSums.bytes() < bytes) {
            close();
            memory = new HostArena("weight gradients");
            partialSums = new HostStorage(memory, bytes);
        }
        return partialSums.host();
    }

    @Override
    public void close() {
        if (memory != null) {
            memory.close();
        }
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

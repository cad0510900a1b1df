package org.respec.kernels.cpu;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import org.respec.bindings.memory.RawMemory;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** QK-norm and rotary embedding of fused query-key-value rows, forward and backward. Sums in a fixed order. */
final class CpuRope {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    /** Rows of one partial sum of weight gradients: fixed, so that the sum does not depend on threads. */
    private static final int BLOCK = 64;

    private final WorkerPool pool;
    private final WorkerPool.Part forwardPart = this::forwardRows;
    private final WorkerPool.Part appendPart = this::appendRows;
    private final WorkerPool.Part backwardPart = this::backwardRows;

    private long qkv;
    private long qkvStride;
    private long out;
    private long outStride;
    private long grad;
    private long gradStride;
    private long qWeight;
    private long kWeight;
    private long positions;
    private long rope;
    private long ropeStride;
    private int shift;
    private int heads;
    private int kvHeads;
    private int dim;
    private int rows;
    private float eps;
    private float[] partials = new float[0];

    private KvLayout layout;
    private long cache;
    private int cacheLayer;
    private long slots;

    CpuRope(WorkerPool pool) {
        this.pool = pool;
    }

    private void arguments(String operator, Tensor qkvTensor, AttentionShape shape, Tensor qw, Tensor kw, float epsilon,
                           Tensor positionTensor, int shiftBy, Tensor ropeTable, int rowCount) {
        Checks.matrix(operator, "qkv", qkvTensor, rowCount, shape.fusedWidth());
        Checks.shape(operator, "qWeight", qw, 1, shape.headDim());
        Checks.shape(operator, "kWeight", kw, 1, shape.headDim());
        Checks.matrix(operator, "rope", ropeTable, 1, shape.headDim());
        Checks.vector(operator, "positions", positionTensor, DType.I32, rowCount);
        positions = positionTensor.address();
        for (int r = 0; r < rowCount; r++) {
            int position = RawMemory.ALL.get(INT, positions + 4L * r) + shiftBy;
            if (position < 0 || position >= ropeTable.rows()) {
                throw new IllegalArgumentException(operator + ": position " + position + " of row " + r + " must be 0 to "
                    + (ropeTable.rows() - 1));
            }
        }
        qkv = qkvTensor.address();
        qkvStride = qkvTensor.rowStride() * 4;
        qWeight = qw.address();
        kWeight = kw.address();
        eps = epsilon;
        rope = ropeTable.address();
        ropeStride = ropeTable.rowStride() * 4;
        shift = shiftBy;
        heads = shape.heads();
        kvHeads = shape.kvHeads();
        dim = shape.headDim();
        rows = rowCount;
    }

    void qkNormRope(Tensor qkvTensor, AttentionShape shape, Tensor qw, Tensor kw, float epsilon, Tensor positionTensor, int shiftBy,
                    Tensor ropeTable, Tensor outTensor, int rowCount) {
        arguments("qkNormRope", qkvTensor, shape, qw, kw, epsilon, positionTensor, shiftBy, ropeTable, rowCount);
        Checks.matrix("qkNormRope", "out", outTensor, rowCount, shape.fusedWidth());
        out = outTensor.address();
        outStride = outTensor.rowStride() * 4;
        pool.run(forwardPart, rowCount, shape.queryWidth() / 2);
    }

    /** {@link #qkNormRope} in place, but of the keys, which go to the cache as the values do, on the thread that has the row. */
    void qkNormRopeAppend(Tensor qkvTensor, AttentionShape shape, Tensor qw, Tensor kw, float epsilon, Tensor ropeTable, KvStore kv,
                          int layer, RowBatch batch, int rowCount) {
        String operator = "qkNormRopeAppend";
        arguments(operator, qkvTensor, shape, qw, kw, epsilon, batch.positions().device(), 0, ropeTable, rowCount);
        layout = CpuAttention.check(operator, shape, kv, layer);
        Checks.indices(operator, "slots", batch.slots().device(), rowCount, layout.pages() * layout.pageSize());
        slots = batch.slots().device().address();
        cache = kv.data().address();
        cacheLayer = layer;
        pool.run(appendPart, rowCount, shape.fusedWidth());
    }

    private void appendRows(int from, int to, int thread) {
        long width = 4L * dim;
        long toValue = 4 * kvHeads * layout.headElements();
        for (int r = from; r < to; r++) {
            long source = qkv + r * qkvStride;
            long cos = rope + Simd.getInt(positions + 4L * r) * ropeStride;
            for (int h = 0; h < heads; h++) {
                rotate(source, qWeight, cos, source);
                source += width;
            }
            long key = cache + 4 * layout.keyOffset(cacheLayer, Simd.getInt(slots + 4L * r), 0);
            for (int h = 0; h < kvHeads; h++) {
                rotate(source, kWeight, cos, key);
                copyHead(source + kvHeads * width, key + toValue);
                source += width;
                key += 4 * layout.headElements();
            }
        }
    }

    private void forwardRows(int from, int to, int thread) {
        long width = 4L * dim;
        for (int r = from; r < to; r++) {
            long source = qkv + r * qkvStride;
            long target = out + r * outStride;
            long cos = rope + (Simd.getInt(positions + 4L * r) + shift) * ropeStride;
            for (int h = 0; h < heads + kvHeads; h++) {
                rotate(source, h < heads ? qWeight : kWeight, cos, target);
                source += width;
                target += width;
            }
            for (int h = 0; source != target && h < kvHeads; h++) {
                copyHead(source + h * width, target + h * width);
            }
        }
    }

    /** One head, normalised and rotated. */
    private void rotate(long source, long weight, long cos, long target) {
        int half = dim / 2;
        long sin = cos + 4L * half;
        float scale = scale(source);
        FloatVector scales = Simd.broadcast(scale);
        int i = 0;
        for (; i <= half - Simd.LANES; i += Simd.LANES) {
            long low4 = 4L * i;
            long high4 = 4L * (i + half);
            FloatVector low = Simd.load(source + low4).mul(scales).mul(Simd.load(weight + low4));
            FloatVector high = Simd.load(source + high4).mul(scales).mul(Simd.load(weight + high4));
            FloatVector c = Simd.load(cos + low4);
            FloatVector s = Simd.load(sin + low4);
            Simd.store(low.mul(c).sub(high.mul(s)), target + low4);
            Simd.store(high.mul(c).add(low.mul(s)), target + high4);
        }
        for (; i < half; i++) {
            float low = get(source + 4L * i) * scale * get(weight + 4L * i);
            float high = get(source + 4L * (i + half)) * scale * get(weight + 4L * (i + half));
            float c = get(cos + 4L * i);
            float s = get(sin + 4L * i);
            put(target + 4L * i, low * c - high * s);
            put(target + 4L * (i + half), high * c + low * s);
        }
    }

    /** A call to copy so little takes longer than the copy. */
    private void copyHead(long source, long target) {
        int i = 0;
        for (; i <= dim - Simd.LANES; i += Simd.LANES) {
            Simd.store(Simd.load(source + 4L * i), target + 4L * i);
        }
        for (; i < dim; i++) {
            put(target + 4L * i, get(source + 4L * i));
        }
    }

    /** 1 / root mean square of one head. */
    private float scale(long head) {
        return (float) (1.0 / Math.sqrt(Simd.dot(head, head, dim) / (double) dim + eps));
    }

    void qkNormRopeBackward(Tensor qkvTensor, AttentionShape shape, Tensor qw, Tensor kw, float epsilon, Tensor positionTensor, int shiftBy,
                            Tensor ropeTable, Tensor dOut, Tensor dQkv, Tensor dQw, Tensor dKw, int rowCount) {
        arguments("qkNormRopeBackward", qkvTensor, shape, qw, kw, epsilon, positionTensor, shiftBy, ropeTable, rowCount);
        Checks.matrix("qkNormRopeBackward", "dOut", dOut, rowCount, shape.fusedWidth());
        Checks.matrix("qkNormRopeBackward", "dQkv", dQkv, rowCount, shape.fusedWidth());
        Checks.shape("qkNormRopeBackward", "dQWeight", dQw, 1, shape.headDim());
        Checks.shape("qkNormRopeBackward", "dKWeight", dKw, 1, shape.headDim());
        grad = dOut.address();
        gradStride = dOut.rowStride() * 4;
        out = dQkv.address();
        outStride = dQkv.rowStride() * 4;
        int blocks = Math.ceilDiv(rowCount, BLOCK);
        if (partials.length < blocks * 2 * dim) {
            partials = new float[blocks * 2 * dim];
        }
        pool.run(backwardPart, blocks, BLOCK * (long) shape.fusedWidth());
        for (int which = 0; which < 2; which++) {
            long target = which == 0 ? dQw.address() : dKw.address();
            for (int i = 0; i < dim; i++) {
                float sum = 0;
                for (int b = 0; b < blocks; b++) {
                    sum += partials[(2 * b + which) * dim + i];
                }
                put(target + 4L * i, get(target + 4L * i) + sum);
            }
        }
    }

    private void backwardRows(int fromBlock, int toBlock, int thread) {
        float[] dy = new float[dim];
        for (int b = fromBlock; b < toBlock; b++) {
            java.util.Arrays.fill(partials, 2 * b * dim, 2 * (b + 1) * dim, 0f);
            for (int r = b * BLOCK; r < Math.min(rows, (b + 1) * BLOCK); r++) {
                backwardRow(r, b, dy);
            }
        }
    }

    private void backwardRow(int r, int block, float[] dy) {
        long source = qkv + r * qkvStride;
        long up = grad + r * gradStride;
        long target = out + r * outStride;
        long cos = rope + (RawMemory.ALL.get(INT, positions + 4L * r) + shift) * ropeStride;
        for (int h = 0; h < heads + kvHeads; h++) {
            unrotate(up, cos, dim / 2, dy);
            int partial = (2 * block + (h < heads ? 0 : 1)) * dim;
            normBackward(source, h < heads ? qWeight : kWeight, scale(source), dy, partials, partial, dim, target);
            source += 4L * dim;
            up += 4L * dim;
            target += 4L * dim;
        }
        RawMemory.copy(up, target, 4L * kvHeads * dim);
    }

    /** The rotation's transpose: what it makes of the gradient at a head is the gradient at the normed head. */
    private static void unrotate(long up, long cos, int half, float[] dy) {
        long sin = cos + 4L * half;
        int i = 0;
        for (; i <= half - Simd.LANES; i += Simd.LANES) {
            FloatVector c = Simd.load(cos + 4L * i);
            FloatVector s = Simd.load(sin + 4L * i);
            FloatVector low = Simd.load(up + 4L * i);
            FloatVector high = Simd.load(up + 4L * (i + half));
            low.mul(c).add(high.mul(s)).intoArray(dy, i);
            high.mul(c).sub(low.mul(s)).intoArray(dy, i + half);
        }
        for (; i < half; i++) {
            float c = get(cos + 4L * i);
            float s = get(sin + 4L * i);
            float low = get(up + 4L * i);
            float high = get(up + 4L * (i + half));
            dy[i] = low * c + high * s;
            dy[i + half] = high * c - low * s;
        }
    }

    /** With n = x s, of which {@code dy} is the gradient before the weights: dx = s (w dy - n mean(w dy n)), dw = dy n. */
    private static void normBackward(long x, long weight, float scale, float[] dy, float[] dWeight, int at, int dim, long dx) {
        FloatVector s = Simd.broadcast(scale);
        FloatVector dots = Simd.zero();
        int whole = dim - dim % Simd.LANES;
        for (int i = 0; i < whole; i += Simd.LANES) {
            FloatVector normed = Simd.load(x + 4L * i).mul(s);
            FloatVector g = Simd.TYPE.cast(FloatVector.fromArray(Simd.SPECIES, dy, i));
            g.mul(normed).add(Simd.TYPE.cast(FloatVector.fromArray(Simd.SPECIES, dWeight, at + i))).intoArray(dWeight, at + i);
            FloatVector weighted = g.mul(Simd.load(weight + 4L * i));
            weighted.intoArray(dy, i);
            dots = weighted.fma(normed, Simd.TYPE.cast(dots));
        }
        float dot = Simd.sum(Simd.TYPE.cast(dots));
        for (int i = whole; i < dim; i++) {
            float normed = get(x + 4L * i) * scale;
            dWeight[at + i] += dy[i] * normed;
            dy[i] *= get(weight + 4L * i);
            dot = Math.fma(dy[i], normed, dot);
        }
        float mean = dot / dim;
        FloatVector m = Simd.broadcast(mean);
        for (int i = 0; i < whole; i += Simd.LANES) {
            FloatVector normed = Simd.load(x + 4L * i).mul(s);
            Simd.store(s.mul(Simd.TYPE.cast(FloatVector.fromArray(Simd.SPECIES, dy, i)).sub(normed.mul(m))), dx + 4L * i);
        }
        for (int i = whole; i < dim; i++) {
            put(dx + 4L * i, scale * (dy[i] - get(x + 4L * i) * scale * mean));
        }
    }

    private static float get(long address) {
        return RawMemory.ALL.get(FLOAT, address);
    }

    private static void put(long address, float value) {
        RawMemory.ALL.set(FLOAT, address, value);
    }
}

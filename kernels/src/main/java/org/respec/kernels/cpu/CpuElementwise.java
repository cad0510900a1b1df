package org.respec.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.respec.bindings.memory.RawMemory;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Row by row operators: copies, embedding, RMS norm, SwiGLU, and their gradients. */
final class CpuElementwise {
    /** Rows of one partial sum of weight gradients: fixed, so that sums do not depend on the number of threads. */
    private static final int BLOCK = 64;

    private final WorkerPool pool;
    private final WorkerPool.Part copyPart = this::copyRows;
    private final WorkerPool.Part normPart = this::normRows;
    private final WorkerPool.Part normBackwardPart = this::normBackwardRows;
    private final WorkerPool.Part swigluPart = this::swigluRows;
    private final WorkerPool.Part swigluBackwardPart = this::swigluBackwardRows;

    private long a;
    private long aStride;
    private long aRows;
    private long b;
    private long bStride;
    private long bRows;
    private long rowBytes;
    private long c;
    private long cStride;
    private long cRows;
    private long weight;
    private int cols;
    private int rows;
    private float eps;
    private boolean accumulate;
    private float[] partials = new float[0];
    /** For each thread, of one row. */
    private final float[][] sigmoids;

    CpuElementwise(WorkerPool pool) {
        this.pool = pool;
        sigmoids = new float[pool.threads()][0];
    }

    private void run(WorkerPool.Part part, int count, int elementsEach) {
        pool.run(part, count, Math.ceilDiv(elementsEach, 4));
    }

    void fill(Tensor x, float value) {
        Checks.dtype("fill", "x", x, DType.F32);
        FloatVector v = Simd.broadcast(value);
        for (int r = 0; r < x.rows(); r++) {
            long row = x.address() + r * x.rowStride() * 4;
            int i = 0;
            for (; i <= x.cols() - Simd.LANES; i += Simd.LANES) {
                Simd.store(v, row + 4L * i);
            }
            for (; i < x.cols(); i++) {
                Simd.put(row + 4L * i, value);
            }
        }
    }

    void convert(Tensor src, Tensor dst, int rowCount) {
        Checks.dtype("convert", "src", src, DType.F32);
        Checks.dtype("convert", "dst", dst, DType.F32);
        copy(src, dst, rowCount);
    }

    void copy(Tensor src, Tensor dst, int rowCount) {
        sameWidth("copy", src, dst);
        if (src.rows() < rowCount || dst.rows() < rowCount) {
            throw new IllegalArgumentException("copy: src " + src + " and dst " + dst + " must have " + rowCount + " rows or more");
        }
        long width = (long) src.cols() * src.dtype().bytes();
        long from = src.address();
        long to = dst.address();
        long fromStride = src.rowStride() * src.dtype().bytes();
        long toStride = dst.rowStride() * dst.dtype().bytes();
        if (fromStride == width && toStride == width) {
            RawMemory.copy(from, to, width * rowCount);
            return;
        }
        for (int r = 0; r < rowCount; r++) {
            RawMemory.copy(from + r * fromStride, to + r * toStride, width);
        }
    }

    private static void sameWidth(String operator, Tensor src, Tensor dst) {
        if (src.dtype() != dst.dtype() || src.cols() != dst.cols()) {
            throw new IllegalArgumentException(operator + ": src " + src + " and dst " + dst + " must have one dtype and as many columns");
        }
    }

    void add(Tensor x, Tensor y, int rowCount) {
        Checks.matrix("add", "x", x, rowCount, y.cols());
        Checks.matrix("add", "y", y, rowCount, y.cols());
        for (int r = 0; r < rowCount; r++) {
            Simd.axpy(1f, x.address() + r * x.rowStride() * 4, y.address() + r * y.rowStride() * 4, y.cols());
        }
    }

    void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count) {
        sameWidth("copyRows", src, dst);
        if (srcRows != null) {
            Checks.indices("copyRows", "srcRows", srcRows, count, src.rows());
        }
        if (dstRows != null) {
            Checks.indices("copyRows", "dstRows", dstRows, count, dst.rows());
        }
        if ((srcRows == null && src.rows() < count) || (dstRows == null && dst.rows() < count)) {
            throw new IllegalArgumentException("copyRows: src " + src + " and dst " + dst + " must have " + count + " rows or more");
        }
        rowBytes = (long) src.cols() * src.dtype().bytes();
        a = src.address();
        aStride = src.rowStride() * src.dtype().bytes();
        aRows = srcRows == null ? 0 : srcRows.address();
        b = dst.address();
        bStride = dst.rowStride() * dst.dtype().bytes();
        bRows = dstRows == null ? 0 : dstRows.address();
        if (dstRows == null && (b >= a + src.rows() * aStride || a >= b + count * bStride)) {
            run(copyPart, count, (int) (rowBytes / 4));
        } else {
            // A place may be written twice, or read after it was written.
            copyRows(0, count, 0);
        }
    }

    private void copyRows(int from, int to, int thread) {
        for (int i = from; i < to; i++) {
            int s = aRows == 0 ? i : Simd.getInt(aRows + 4L * i);
            int d = bRows == 0 ? i : Simd.getInt(bRows + 4L * i);
            RawMemory.copy(a + s * aStride, b + d * bStride, rowBytes);
        }
    }

    void embedding(Tensor table, Tensor tokens, Tensor out, int rowCount) {
        Checks.matrix("embedding", "table", table, 1, out.cols());
        Checks.matrix("embedding", "out", out, rowCount, table.cols());
        Checks.indices("embedding", "tokens", tokens, rowCount, table.rows());
        rowBytes = table.cols() * 4L;
        a = table.address();
        aStride = table.rowStride() * 4;
        aRows = tokens.address();
        b = out.address();
        bStride = out.rowStride() * 4;
        bRows = 0;
        run(copyPart, rowCount, table.cols());
    }

    void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rowCount) {
        Checks.matrix("embeddingBackward", "dOut", dOut, rowCount, dTable.cols());
        Checks.matrix("embeddingBackward", "dTable", dTable, 1, dOut.cols());
        Checks.indices("embeddingBackward", "tokens", tokens, rowCount, dTable.rows());
        for (int r = 0; r < rowCount; r++) {
            int token = Simd.getInt(tokens.address() + 4L * r);
            Simd.axpy(1f, dOut.address() + r * dOut.rowStride() * 4, dTable.address() + token * dTable.rowStride() * 4, dOut.cols());
        }
    }

    // ---------------------------------------------------------------------------------------------------------- RMS norm

    void rmsNorm(Tensor x, Tensor weightTensor, float epsilon, Tensor out, int rowCount) {
        c = 0;
        norm(x, weightTensor, epsilon, out, rowCount);
    }

    void copyRmsNorm(Tensor x, Tensor weightTensor, float epsilon, Tensor copy, Tensor copyRows, Tensor out, int rowCount) {
        Checks.matrix("copyRmsNorm", "copy", copy, copyRows == null ? rowCount : 0, x.cols());
        if (copyRows != null) {
            Checks.indices("copyRmsNorm", "copyRows", copyRows, rowCount, copy.rows());
        }
        cRows = copyRows == null ? 0 : copyRows.address();
        c = copy.address();
        cStride = copy.rowStride() * 4;
        norm(x, weightTensor, epsilon, out, rowCount);
    }

    private void norm(Tensor x, Tensor weightTensor, float epsilon, Tensor out, int rowCount) {
        Checks.matrix("rmsNorm", "x", x, rowCount, out.cols());
        Checks.matrix("rmsNorm", "out", out, rowCount, x.cols());
        Checks.shape("rmsNorm", "weight", weightTensor, 1, x.cols());
        a = x.address();
        aStride = x.rowStride() * 4;
        b = out.address();
        bStride = out.rowStride() * 4;
        weight = weightTensor.address();
        cols = x.cols();
        rows = rowCount;
        eps = epsilon;
        run(normPart, rowCount, cols);
    }

    private static float inverseRms(long row, int cols, float eps) {
        return (float) (1.0 / Math.sqrt(Simd.dot(row, row, cols) / (double) cols + eps));
    }

    private void normRows(int from, int to, int thread) {
        for (int r = from; r < to; r++) {
            long source = a + r * aStride;
            long into = b + r * bStride;
            float scale = inverseRms(source, cols, eps);
            if (c == 0) {
                scaleRow(source, weight, scale, into, cols);
            } else {
                int place = cRows == 0 ? r : Simd.getInt(cRows + 4L * r);
                copyScaleRow(source, c + place * cStride, weight, scale, into, cols);
            }
        }
    }

    private static void scaleRow(long source, long weight, float scale, long into, int cols) {
        FloatVector s = Simd.broadcast(scale);
        int i = 0;
        for (; i <= cols - Simd.LANES; i += Simd.LANES) {
            Simd.store(Simd.load(source + 4L * i).mul(s).mul(Simd.load(weight + 4L * i)), into + 4L * i);
        }
        for (; i < cols; i++) {
            Simd.put(into + 4L * i, Simd.get(source + 4L * i) * scale * Simd.get(weight + 4L * i));
        }
    }

    /** Copies what it has loaded anyway: a call to copy a row of 512 bytes took as long as the copy. */
    private static void copyScaleRow(long source, long copy, long weight, float scale, long into, int cols) {
        FloatVector s = Simd.broadcast(scale);
        int i = 0;
        for (; i <= cols - Simd.LANES; i += Simd.LANES) {
            FloatVector x = Simd.load(source + 4L * i);
            Simd.store(x, copy + 4L * i);
            Simd.store(x.mul(s).mul(Simd.load(weight + 4L * i)), into + 4L * i);
        }
        for (; i < cols; i++) {
            float x = Simd.get(source + 4L * i);
            Simd.put(copy + 4L * i, x);
            Simd.put(into + 4L * i, x * scale * Simd.get(weight + 4L * i));
        }
    }

    void rmsNormBackward(Tensor x, Tensor weightTensor, float epsilon, Tensor dOut, Tensor dX, boolean add, Tensor dWeight, int rowCount) {
        Checks.matrix("rmsNormBackward", "x", x, rowCount, dX.cols());
        Checks.matrix("rmsNormBackward", "dOut", dOut, rowCount, x.cols());
        Checks.matrix("rmsNormBackward", "dX", dX, rowCount, x.cols());
        Checks.shape("rmsNormBackward", "weight", weightTensor, 1, x.cols());
        Checks.shape("rmsNormBackward", "dWeight", dWeight, 1, x.cols());
        a = x.address();
        aStride = x.rowStride() * 4;
        b = dOut.address();
        bStride = dOut.rowStride() * 4;
        c = dX.address();
        cStride = dX.rowStride() * 4;
        weight = weightTensor.address();
        cols = x.cols();
        rows = rowCount;
        eps = epsilon;
        accumulate = add;
        int blocks = Math.ceilDiv(rowCount, BLOCK);
        if (partials.length < blocks * cols) {
            partials = new float[blocks * cols];
        }
        run(normBackwardPart, blocks, BLOCK * cols);
        for (int i = 0; i < cols; i++) {
            float sum = 0;
            for (int block = 0; block < blocks; block++) {
                sum += partials[block * cols + i];
            }
            long at = dWeight.address() + 4L * i;
            Simd.put(at, Simd.get(at) + sum);
        }
    }

    private void normBackwardRows(int from, int to, int thread) {
        for (int block = from; block < to; block++) {
            Arrays.fill(partials, block * cols, (block + 1) * cols, 0f);
            for (int r = block * BLOCK; r < Math.min(rows, (block + 1) * BLOCK); r++) {
                normBackwardRow(a + r * aStride, b + r * bStride, c + r * cStride, block * cols);
            }
        }
    }

    /** With n = x s and s = 1/rms: dx = s (w dy - n mean(w dy n)), dw = dy n. */
    private void normBackwardRow(long x, long dy, long dx, int partial) {
        float scale = inverseRms(x, cols, eps);
        FloatVector s = Simd.broadcast(scale);
        FloatVector dots = Simd.zero();
        int whole = cols - cols % Simd.LANES;
        for (int i = 0; i < whole; i += Simd.LANES) {
            FloatVector normed = Simd.load(x + 4L * i).mul(s);
            FloatVector up = Simd.load(dy + 4L * i);
            normed.fma(up, FloatVector.fromArray(Simd.SPECIES, partials, partial + i)).intoArray(partials, partial + i);
            dots = up.mul(Simd.load(weight + 4L * i)).fma(normed, dots);
        }
        float dot = Simd.sum(Simd.TYPE.cast(dots));
        for (int i = whole; i < cols; i++) {
            float normed = Simd.get(x + 4L * i) * scale;
            float up = Simd.get(dy + 4L * i);
            partials[partial + i] = Math.fma(normed, up, partials[partial + i]);
            dot = Math.fma(up * Simd.get(weight + 4L * i), normed, dot);
        }
        float mean = dot / cols;
        FloatVector m = Simd.broadcast(mean);
        for (int i = 0; i < whole; i += Simd.LANES) {
            FloatVector normed = Simd.load(x + 4L * i).mul(s);
            FloatVector g = Simd.load(dy + 4L * i).mul(Simd.load(weight + 4L * i)).sub(normed.mul(m)).mul(s);
            Simd.store(accumulate ? Simd.load(dx + 4L * i).add(g) : g, dx + 4L * i);
        }
        for (int i = whole; i < cols; i++) {
            float normed = Simd.get(x + 4L * i) * scale;
            float g = (Simd.get(dy + 4L * i) * Simd.get(weight + 4L * i) - normed * mean) * scale;
            Simd.put(dx + 4L * i, accumulate ? Simd.get(dx + 4L * i) + g : g);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ SwiGLU

    void swiglu(Tensor gateUp, Tensor out, int rowCount) {
        Checks.matrix("swiglu", "out", out, rowCount, out.cols());
        Checks.matrix("swiglu", "gateUp", gateUp, rowCount, 2 * out.cols());
        a = gateUp.address();
        aStride = gateUp.rowStride() * 4;
        b = out.address();
        bStride = out.rowStride() * 4;
        cols = out.cols();
        rows = rowCount;
        run(swigluPart, rowCount, 4 * cols);
    }

    private void swigluRows(int from, int to, int thread) {
        for (int r = from; r < to; r++) {
            long gate = a + r * aStride;
            long up = gate + 4L * cols;
            long into = b + r * bStride;
            int i = 0;
            for (; i <= cols - Simd.LANES; i += Simd.LANES) {
                FloatVector g = Simd.load(gate + 4L * i);
                FloatVector silu = g.div(FastMath.exp(g.neg()).add(1f));
                Simd.store(silu.mul(Simd.load(up + 4L * i)), into + 4L * i);
            }
            for (; i < cols; i++) {
                float g = Simd.get(gate + 4L * i);
                Simd.put(into + 4L * i, g / (FastMath.exp(-g) + 1f) * Simd.get(up + 4L * i));
            }
        }
    }

    void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rowCount) {
        Checks.matrix("swigluBackward", "dOut", dOut, rowCount, dOut.cols());
        Checks.matrix("swigluBackward", "gateUp", gateUp, rowCount, 2 * dOut.cols());
        Checks.matrix("swigluBackward", "dGateUp", dGateUp, rowCount, 2 * dOut.cols());
        a = gateUp.address();
        aStride = gateUp.rowStride() * 4;
        b = dOut.address();
        bStride = dOut.rowStride() * 4;
        c = dGateUp.address();
        cStride = dGateUp.rowStride() * 4;
        cols = dOut.cols();
        rows = rowCount;
        if (sigmoids[0].length < cols) {
            Arrays.setAll(sigmoids, i -> new float[cols]);
        }
        run(swigluBackwardPart, rowCount, 6 * cols);
    }

    private void swigluBackwardRows(int from, int to, int thread) {
        float[] sigmoid = sigmoids[thread];
        for (int r = from; r < to; r++) {
            long gate = a + r * aStride;
            long up = gate + 4L * cols;
            long dy = b + r * bStride;
            long dGate = c + r * cStride;
            long dUp = dGate + 4L * cols;
            // In two loops: one is too large for C2 to inline all that it calls, and boxed vectors took three times as long.
            sigmoids(gate, sigmoid, cols);
            swigluSlopes(gate, up, dy, sigmoid, dGate, dUp, cols);
        }
    }

    private static void sigmoids(long gate, float[] out, int cols) {
        FloatVector one = Simd.broadcast(1f);
        int i = 0;
        for (; i <= cols - Simd.LANES; i += Simd.LANES) {
            one.div(FastMath.exp(Simd.load(gate + 4L * i).neg()).add(1f)).intoArray(out, i);
        }
        for (; i < cols; i++) {
            out[i] = 1f / (FastMath.exp(-Simd.get(gate + 4L * i)) + 1f);
        }
    }

    /** Gradients may go where gates and ups are. Calls the Vector API alone: see {@link PanelKernel}. */
    private static void swigluSlopes(long gate, long up, long dy, float[] sigmoids, long dGate, long dUp, int cols) {
        FloatVector one = Simd.TYPE.cast(FloatVector.broadcast(Simd.SPECIES, 1f));
        int i = 0;
        for (; i <= cols - Simd.LANES; i += Simd.LANES) {
            long at = 4L * i;
            FloatVector sigmoid = Simd.TYPE.cast(FloatVector.fromArray(Simd.SPECIES, sigmoids, i));
            long from = gate + at & Simd.ADDRESS;
            FloatVector g = Simd.TYPE.cast(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, from, Simd.ORDER));
            from = dy + at & Simd.ADDRESS;
            FloatVector d = Simd.TYPE.cast(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, from, Simd.ORDER));
            FloatVector u = FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, up + at & Simd.ADDRESS, Simd.ORDER);
            FloatVector slope = sigmoid.mul(g.mul(one.sub(sigmoid)).add(one));
            d.mul(u).mul(slope).intoMemorySegment(RawMemory.ALL, dGate + at & Simd.ADDRESS, Simd.ORDER);
            d.mul(g).mul(sigmoid).intoMemorySegment(RawMemory.ALL, dUp + at & Simd.ADDRESS, Simd.ORDER);
        }
        for (; i < cols; i++) {
            float sigmoid = sigmoids[i];
            float g = Simd.get(gate + 4L * i);
            float d = Simd.get(dy + 4L * i);
            Simd.put(dGate + 4L * i, d * Simd.get(up + 4L * i) * (sigmoid * (g * (1f - sigmoid) + 1f)));
            Simd.put(dUp + 4L * i, d * g * sigmoid);
        }
    }
}

package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/**
 * Fills, copies, sums, gathers, embeddings, RMS norm and SwiGLU with their gradients: checks, then launches. Activations of one call
 * are all F32 or all BF16; weights may be either, gradients of weights are F32.
 */
final class GpuElementwise {
    private final FillKernel fill;
    private final CopyRowsKernel copyRows;
    private final ConvertKernel convert;
    private final AddKernel add;
    private final EmbeddingKernel embedding;
    private final EmbeddingBackwardKernel embeddingBackward;
    private final RmsNormKernel rmsNorm;
    private final RmsNormBackwardKernel rmsNormBackward;
    private final SwigluKernel swiglu;

    GpuElementwise(GpuContext gpu) {
        fill = new FillKernel(gpu);
        copyRows = new CopyRowsKernel(gpu);
        convert = new ConvertKernel(gpu);
        add = new AddKernel(gpu);
        embedding = new EmbeddingKernel(gpu);
        embeddingBackward = new EmbeddingBackwardKernel(gpu);
        rmsNorm = new RmsNormKernel(gpu);
        rmsNormBackward = new RmsNormBackwardKernel(gpu, new ColumnSumsKernel(gpu));
        swiglu = new SwigluKernel(gpu);
    }

    void fill(Tensor x, float value) {
        FloatChecks.type("fill", "x", x);
        fill.launch(x, value);
    }

    /** Unlike the CPU's it refuses {@code src} and {@code dst} that overlap. */
    void copy(Tensor src, Tensor dst, int rows) {
        Checks.matrix("copy", "src", src, src.dtype(), rows, src.cols());
        Checks.matrix("copy", "dst", dst, src.dtype(), rows, src.cols());
        if (rows > 0) {
            Checks.disjoint("copy", "dst", dst.rows(0, rows), "src", src.rows(0, rows));
        }
        copyRows.launch(src, null, dst, null, rows);
    }

    void convert(Tensor src, Tensor dst, int rows) {
        if (src.dtype() == dst.dtype()) {
            copy(src, dst, rows);
            return;
        }
        FloatChecks.matrix("convert", "src", src, rows, src.cols());
        FloatChecks.matrix("convert", "dst", dst, rows, src.cols());
        convert.launch(src.rows(0, rows), dst.rows(0, rows));
    }

    void add(Tensor x, Tensor y, int rows) {
        FloatChecks.matrix("add", "y", y, rows, y.cols());
        Checks.matrix("add", "x", x, y.dtype(), rows, y.cols());
        add.launch(x, y, rows);
    }

    /** Unlike the CPU's it refuses {@code src} and {@code dst} that overlap. */
    void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count) {
        Checks.matrix("copyRows", "src", src, src.dtype(), srcRows == null ? count : 0, src.cols());
        Checks.matrix("copyRows", "dst", dst, src.dtype(), dstRows == null ? count : 0, src.cols());
        Checks.disjoint("copyRows", "dst", dst, "src", src);
        if (count < 0) {
            throw new IllegalArgumentException("copyRows: count must be 0 or more, got " + count);
        }
        if (srcRows != null) {
            Checks.vector("copyRows", "srcRows", srcRows, DType.I32, count);
        }
        if (dstRows != null) {
            Checks.vector("copyRows", "dstRows", dstRows, DType.I32, count);
        }
        copyRows.launch(src, srcRows, dst, dstRows, count);
    }

    void embedding(Tensor table, Tensor tokens, Tensor out, int rows) {
        FloatChecks.matrix("embedding", "table", table, 1, out.cols());
        FloatChecks.matrix("embedding", "out", out, rows, table.cols());
        Checks.vector("embedding", "tokens", tokens, DType.I32, rows);
        embedding.launch(table, tokens, out, rows);
    }

    void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, int rows) {
        checkNorm("rmsNorm", x, weight, out, rows);
        rmsNorm.launch(x, weight, eps, null, null, out, rows);
    }

    void copyRmsNorm(Tensor x, Tensor weight, float eps, Tensor copy, Tensor copyRows, Tensor out, int rows) {
        checkNorm("copyRmsNorm", x, weight, out, rows);
        Checks.matrix("copyRmsNorm", "copy", copy, x.dtype(), copyRows == null ? rows : 0, x.cols());
        if (copyRows != null) {
            Checks.vector("copyRmsNorm", "copyRows", copyRows, DType.I32, rows);
        }
        Checks.disjoint("copyRmsNorm", "copy", copy, "x", x);
        Checks.disjoint("copyRmsNorm", "copy", copy, "out", out);
        rmsNorm.launch(x, weight, eps, copy, copyRows, out, rows);
    }

    private static void checkNorm(String operator, Tensor x, Tensor weight, Tensor out, int rows) {
        FloatChecks.matrix(operator, "x", x, rows, x.cols());
        FloatChecks.shape(operator, "weight", weight, 1, x.cols());
        Checks.matrix(operator, "out", out, x.dtype(), rows, x.cols());
    }

    void swiglu(Tensor gateUp, Tensor out, int rows) {
        FloatChecks.matrix("swiglu", "out", out, rows, out.cols());
        Checks.matrix("swiglu", "gateUp", gateUp, out.dtype(), rows, Math.multiplyExact(2, out.cols()));
        swiglu.launch(gateUp, out, rows);
    }

    void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        FloatChecks.matrix("embeddingBackward", "dOut", dOut, rows, dTable.cols());
        Checks.matrix("embeddingBackward", "dTable", dTable, 1, dOut.cols());
        Checks.vector("embeddingBackward", "tokens", tokens, DType.I32, rows);
        embeddingBackward.launch(dOut, tokens, dTable, rows);
    }

    void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows) {
        FloatChecks.matrix("rmsNormBackward", "x", x, rows, dX.cols());
        Checks.matrix("rmsNormBackward", "dOut", dOut, x.dtype(), rows, x.cols());
        Checks.matrix("rmsNormBackward", "dX", dX, x.dtype(), rows, x.cols());
        FloatChecks.shape("rmsNormBackward", "weight", weight, 1, x.cols());
        Checks.shape("rmsNormBackward", "dWeight", dWeight, 1, x.cols());
        if (x.cols() > RmsNormBackwardKernel.mostColumns(x.dtype())) {
            throw new IllegalArgumentException("rmsNormBackward: x must have at most " + RmsNormBackwardKernel.mostColumns(x.dtype())
                + " columns of " + x.dtype() + ", got " + x);
        }
        rmsNormBackward.launch(x, weight, eps, dOut, dX, accumulate, dWeight, rows);
    }

    void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows) {
        FloatChecks.matrix("swigluBackward", "dOut", dOut, rows, dOut.cols());
        Checks.matrix("swigluBackward", "gateUp", gateUp, dOut.dtype(), rows, Math.multiplyExact(2, dOut.cols()));
        Checks.matrix("swigluBackward", "dGateUp", dGateUp, dOut.dtype(), rows, Math.multiplyExact(2, dOut.cols()));
        swiglu.launchBackward(gateUp, dOut, dGateUp, rows);
    }
}

package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;

/** Causal training attention with unrolled draft steps, and its gradient: checks, then launches. */
final class GpuChainAttention {
    private final ChainAttentionKernel forward;
    private final ChainAttentionBackwardKernel backward;

    GpuChainAttention(GpuContext gpu) {
        forward = new ChainAttentionKernel(gpu);
        backward = new ChainAttentionBackwardKernel(gpu);
    }

    void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        check("chainAttention", steps, depth, shape, spans, sequences, rows);
        Checks.matrix("chainAttention", "out", out, steps[depth].dtype(), rows, shape.queryWidth());
        for (int i = 0; i <= depth; i++) {
            Checks.disjoint("chainAttention", "out", out, "steps[" + i + "]", steps[i]);
        }
        forward.launch(steps, depth, shape, spans, sequences, out, rows);
    }

    void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
            Tensor[] dSteps, int rows) {
        String operator = "chainAttentionBackward";
        check(operator, steps, depth, shape, spans, sequences, rows);
        Checks.matrix(operator, "dOut", dOut, steps[depth].dtype(), rows, shape.queryWidth());
        if (dSteps.length <= depth) {
            throw new IllegalArgumentException(operator + ": depth " + depth + " of " + dSteps.length + " dSteps");
        }
        for (int i = 0; i <= depth; i++) {
            Checks.matrix(operator, "dSteps[" + i + "]", dSteps[i], steps[depth].dtype(), rows, shape.fusedWidth());
            Checks.disjoint(operator, "dSteps[" + i + "]", dSteps[i], "dOut", dOut);
            for (int j = 0; j <= depth; j++) {
                Checks.disjoint(operator, "dSteps[" + i + "]", dSteps[i], "steps[" + j + "]", steps[j]);
            }
        }
        backward.launch(steps, depth, shape, spans, sequences, dOut, dSteps, rows);
    }

    private static void check(String operator, Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, int rows) {
        if (depth < 0 || depth >= steps.length || depth > TreeBatch.MAX_DEPTH) {
            throw new IllegalArgumentException(operator + ": depth " + depth + " of " + steps.length + " steps, at most "
                + TreeBatch.MAX_DEPTH);
        }
        if (ChainAttentionKernel.headDimIndex(shape.headDim()) < 0) {
            throw new IllegalArgumentException(operator + ": heads must have a size of "
                + Arrays.toString(ChainAttentionKernel.headDims()) + ", got " + shape.headDim());
        }
        DType dtype = steps[depth].dtype();
        if (dtype != DType.F32 && dtype != DType.BF16) {
            throw new IllegalArgumentException(operator + ": steps must be F32 or BF16, got " + steps[depth]);
        }
        for (int i = 0; i <= depth; i++) {
            Checks.matrix(operator, "steps[" + i + "]", steps[i], dtype, rows, shape.fusedWidth());
        }
        if (sequences < 0) {
            throw new IllegalArgumentException(operator + ": " + sequences + " sequences");
        }
        Math.addExact(rows, sequences);
        Checks.vector(operator, "starts", spans.starts().device(), DType.I32, sequences + 1);
        Checks.vector(operator, "rowStarts", spans.rowStarts().device(), DType.I32, rows);
        checkSpans(operator, spans, sequences, rows);
    }

    /** By the host's copies, which the caller filled: kernels take a row's sequence from {@code starts} alone. */
    private static void checkSpans(String operator, Spans spans, int sequences, int rows) {
        MemorySegment starts = spans.starts().host().host();
        MemorySegment rowStarts = spans.rowStarts().host().host();
        int row = 0;
        for (int s = 0; s <= sequences; s++) {
            int start = starts.getAtIndex(ValueLayout.JAVA_INT, s);
            if (start < row || start > rows || (s == 0 && start != 0) || (s == sequences && start != rows)) {
                throw new IllegalArgumentException(operator + ": starts[" + s + "] is " + start + "; starts must rise from 0 to " + rows);
            }
            int end = s == sequences ? start : Math.min(rows, starts.getAtIndex(ValueLayout.JAVA_INT, s + 1L));
            for (row = start; row < end; row++) {
                if (rowStarts.getAtIndex(ValueLayout.JAVA_INT, row) != start) {
                    throw new IllegalArgumentException(operator + ": rowStarts[" + row + "] is "
                        + rowStarts.getAtIndex(ValueLayout.JAVA_INT, row) + "; its sequence begins at row " + start);
                }
            }
        }
    }
}

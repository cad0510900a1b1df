package org.respec.kernels.gpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/**
 * QK-norm with rotation, alone or with the cache's append, and its gradient: checks, then launches. Rows of one call are all F32 or all
 * BF16; both norm weights are F32 or both BF16, their gradients F32. Positions are checked on the device.
 */
final class GpuRope {
    private final QkNormRopeKernel forward;
    private final QkNormRopeAppendKernel append;
    private final QkNormRopeBackwardKernel backward;

    GpuRope(GpuContext gpu) {
        forward = new QkNormRopeKernel(gpu);
        append = new QkNormRopeAppendKernel(gpu);
        backward = new QkNormRopeBackwardKernel(gpu, new ColumnSumsKernel(gpu));
    }

    private static void check(String operator, Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, Tensor positions,
                              Tensor rope, int rows) {
        FloatChecks.matrix(operator, "qkv", qkv, rows, shape.fusedWidth());
        FloatChecks.shape(operator, "qWeight", qWeight, 1, shape.headDim());
        FloatChecks.shape(operator, "kWeight", kWeight, 1, shape.headDim());
        Checks.dtype(operator, "kWeight", kWeight, qWeight.dtype());
        Checks.matrix(operator, "rope", rope, 1, shape.headDim());
        Checks.vector(operator, "positions", positions, DType.I32, rows);
        if (shape.headDim() > QkNormRopeKernel.MOST_DIM) {
            throw new IllegalArgumentException(operator + ": the head dimension must be at most " + QkNormRopeKernel.MOST_DIM + ", got "
                + shape.headDim());
        }
    }

    void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
            Tensor rope, Tensor out, int rows) {
        check("qkNormRope", qkv, shape, qWeight, kWeight, positions, rope, rows);
        Checks.matrix("qkNormRope", "out", out, qkv.dtype(), rows, shape.fusedWidth());
        forward.launch(qkv, shape, qWeight, kWeight, eps, positions, shift, rope, out, rows);
    }

    void qkNormRopeAppend(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor rope, KvStore kv,
            int layer, RowBatch batch, int rows) {
        check("qkNormRopeAppend", qkv, shape, qWeight, kWeight, batch.positions().device(), rope, rows);
        GpuCache.check("qkNormRopeAppend", shape, kv, layer);
        Checks.vector("qkNormRopeAppend", "slots", batch.slots().device(), DType.I32, rows);
        append.launch(qkv, shape, qWeight, kWeight, eps, rope, kv, layer, batch, rows);
    }

    void qkNormRopeBackward(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
            Tensor rope, Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows) {
        check("qkNormRopeBackward", qkv, shape, qWeight, kWeight, positions, rope, rows);
        Checks.matrix("qkNormRopeBackward", "dOut", dOut, qkv.dtype(), rows, shape.fusedWidth());
        Checks.matrix("qkNormRopeBackward", "dQkv", dQkv, qkv.dtype(), rows, shape.fusedWidth());
        Checks.shape("qkNormRopeBackward", "dQWeight", dQWeight, 1, shape.headDim());
        Checks.shape("qkNormRopeBackward", "dKWeight", dKWeight, 1, shape.headDim());
        backward.launch(qkv, shape, qWeight, kWeight, eps, positions, shift, rope, dOut, dQkv, dQWeight, dKWeight, rows);
    }
}

package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuBlas;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Matrix products: checks, then launches. Operands of one product are both F32 or both BF16; results may be F32 for either.
 *
 * <p>The forward product is our own kernel, by which rows do not depend on their number (<em>invariant</em>, what coupled sampling rests
 * on). The fast one and gradients are by cuBLAS, which is faster for many rows and changes a row's last bits with their number.
 */
final class GpuLinear implements AutoCloseable {
    private final GemmRowsKernel gemmRows;
    private final GemmTilesKernel gemmTiles;
    private final ConvertKernel convert;
    private final CopyRowsKernel copyRows;
    private final GpuBlas blas;

    GpuLinear(GpuContext gpu) {
        this.gemmRows = new GemmRowsKernel(gpu);
        this.gemmTiles = new GemmTilesKernel(gpu);
        this.convert = new ConvertKernel(gpu);
        this.copyRows = new CopyRowsKernel(gpu);
        this.blas = gpu.driver().blas(gpu.stream());
    }

    /** A copy in the weight's own type. */
    GpuPackedMatrix pack(TensorArena arena, Tensor weight) {
        return pack(arena, weight, weight.dtype());
    }

    /** A copy in a type of its own: BF16 for inference with a weight that is trained in F32. */
    GpuPackedMatrix pack(TensorArena arena, Tensor weight, DType dtype) {
        FloatChecks.type("pack", "weight", weight);
        GpuPackedMatrix packed = new GpuPackedMatrix(arena.allocate(dtype, weight.rows(), weight.cols()));
        FloatChecks.type("pack", "the packed weight", packed.data());
        repack(weight, packed);
        return packed;
    }

    /** The weight itself. */
    GpuPackedMatrix share(Tensor weight) {
        FloatChecks.type("share", "weight", weight);
        if (!weight.contiguous()) {
            throw new IllegalArgumentException("share: weight must lie without gaps, got " + weight);
        }
        return new GpuPackedMatrix(weight);
    }

    void repack(Tensor weight, PackedMatrix packed) {
        GpuPackedMatrix to = ours("repack", "packed", packed);
        FloatChecks.shape("repack", "weight", weight, to.outputs(), to.inputs());
        if (weight.address() == to.data().address()) {
            return;
        }
        if (weight.dtype() == to.data().dtype()) {
            copyRows.launch(weight, null, to.data(), null, weight.rows());
        } else {
            convert.launch(weight, to.data());
        }
    }

    /** Gives a row the same bits among any number of rows. */
    void linear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        Tensor weight = weightOf("linear", x, w, y, rows);
        if (rows == 0) {
            return;
        }
        if (gemmTiles.suits(x, weight, rows)) {
            gemmTiles.launch(x, weight, y, accumulate, rows);
        } else {
            gemmRows.launch(x, weight, y, accumulate, rows);
        }
    }

    void fastLinear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        Tensor weight = weightOf("fastLinear", x, w, y, rows);
        if (rows > 0) {
            gemm("fastLinear", false, x, true, weight, y, rows, weight.rows(), weight.cols(), accumulate);
        }
    }

    /** The weight of a forward product whose operands are right. */
    private static Tensor weightOf(String operator, Tensor x, PackedMatrix w, Tensor y, int rows) {
        Tensor weight = ours(operator, "w", w).data();
        Checks.matrix(operator, "x", x, weight.dtype(), rows, weight.cols());
        result(operator, "y", y, x, rows, weight.rows());
        Checks.disjoint(operator, "y", y, "x", x);
        Checks.disjoint(operator, "y", y, "w", weight);
        return weight;
    }

    void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        FloatChecks.matrix("linearBackwardInput", "dY", dY, rows, weight.rows());
        Checks.dtype("linearBackwardInput", "weight", weight, dY.dtype());
        result("linearBackwardInput", "dX", dX, dY, rows, weight.cols());
        Checks.disjoint("linearBackwardInput", "dX", dX, "dY", dY);
        Checks.disjoint("linearBackwardInput", "dX", dX, "weight", weight);
        if (rows > 0) {
            gemm("linearBackwardInput", false, dY, false, weight, dX, rows, weight.cols(), weight.rows(), accumulate);
        }
    }

    void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        FloatChecks.matrix("linearBackwardWeight", "dY", dY, rows, dWeight.rows());
        Checks.matrix("linearBackwardWeight", "x", x, dY.dtype(), rows, dWeight.cols());
        Checks.dtype("linearBackwardWeight", "dWeight", dWeight, DType.F32);
        Checks.disjoint("linearBackwardWeight", "dWeight", dWeight, "dY", dY);
        Checks.disjoint("linearBackwardWeight", "dWeight", dWeight, "x", x);
        if (rows > 0) {
            gemm("linearBackwardWeight", true, dY, false, x, dWeight, dWeight.rows(), dWeight.cols(), rows, true);
        }
    }

    /** F32, or BF16 where the operands are. */
    private static void result(String operator, String argument, Tensor tensor, Tensor operand, int rows, int cols) {
        Checks.matrix(operator, argument, tensor, operand.dtype() == DType.BF16 && tensor.dtype() == DType.BF16 ? DType.BF16 : DType.F32,
            rows, cols);
    }

    private void gemm(String operator, boolean transposeA, Tensor a, boolean transposeB, Tensor b, Tensor c, int m, int n, int k,
                      boolean accumulate) {
        if (m == 0 || n == 0) {
            return;
        }
        blas.gemm(transposeA, transposeB, m, n, k, type(a), a.address(), stride(operator, a), b.address(), stride(operator, b),
            accumulate ? 1f : 0f, type(c), c.address(), stride(operator, c));
    }

    private static GpuBlas.Type type(Tensor tensor) {
        return tensor.dtype() == DType.BF16 ? GpuBlas.Type.BF16 : GpuBlas.Type.F32;
    }

    private static int stride(String operator, Tensor tensor) {
        if (tensor.rowStride() > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(operator + ": a matrix must have rows closer together, got " + tensor);
        }
        return (int) tensor.rowStride();
    }

    @Override
    public void close() {
        blas.close();
    }

    private static GpuPackedMatrix ours(String operator, String argument, PackedMatrix matrix) {
        if (matrix instanceof GpuPackedMatrix packed) {
            return packed;
        }
        throw new IllegalArgumentException(operator + ": " + argument + " must be packed by the CUDA operators, got " + matrix);
    }
}

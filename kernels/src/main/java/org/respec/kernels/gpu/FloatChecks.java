package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Checks of tensors that may be stored as F32 or BF16. */
final class FloatChecks {
    private FloatChecks() {
    }

    /** F32 or BF16. */
    static void type(String operator, String argument, Tensor tensor) {
        if (tensor.dtype() != DType.F32 && tensor.dtype() != DType.BF16) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be F32 or BF16, got " + tensor);
        }
    }

    /** F32 or BF16, at least {@code rows} rows and exactly {@code cols} columns. */
    static void matrix(String operator, String argument, Tensor tensor, int rows, int cols) {
        type(operator, argument, tensor);
        Checks.matrix(operator, argument, tensor, tensor.dtype(), rows, cols);
    }

    /** F32 or BF16 of just this shape. */
    static void shape(String operator, String argument, Tensor tensor, int rows, int cols) {
        type(operator, argument, tensor);
        if (tensor.rows() != rows || tensor.cols() != cols) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be of shape " + rows + "x" + cols + ", got " + tensor);
        }
    }
}

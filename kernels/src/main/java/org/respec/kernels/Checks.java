package org.respec.kernels;

import java.lang.foreign.ValueLayout;
import org.respec.bindings.memory.RawMemory;

/** What operators demand of their arguments, checked before memory is touched. Messages name operator, argument, and both shapes. */
public final class Checks {
    private Checks() {
    }

    /** A tensor of this type, whatever its shape. */
    public static void dtype(String operator, String argument, Tensor tensor, DType dtype) {
        if (tensor.dtype() != dtype) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be " + dtype + ", got " + tensor);
        }
    }

    /** An F32 matrix of at least {@code rows} rows and exactly {@code cols} columns. */
    public static void matrix(String operator, String argument, Tensor tensor, int rows, int cols) {
        if (tensor.dtype() != DType.F32 || rows < 0 || tensor.rows() < rows || tensor.cols() != cols) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be F32 with " + rows + " rows or more of " + cols
                + " columns, got " + tensor);
        }
    }

    /** A matrix of this dtype, at least {@code rows} rows and exactly {@code cols} columns. */
    public static void matrix(String operator, String argument, Tensor tensor, DType dtype, int rows, int cols) {
        if (tensor.dtype() != dtype || rows < 0 || tensor.rows() < rows || tensor.cols() != cols) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be " + dtype + " with " + rows + " rows or more of "
                + cols + " columns, got " + tensor);
        }
    }

    /** An F32 matrix of just this shape. */
    public static void shape(String operator, String argument, Tensor tensor, int rows, int cols) {
        if (tensor.dtype() != DType.F32 || tensor.rows() != rows || tensor.cols() != cols) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be F32[" + rows + "x" + cols + "], got " + tensor);
        }
    }

    /** A one-row tensor of at least {@code count} elements. */
    public static void vector(String operator, String argument, Tensor tensor, DType dtype, int count) {
        if (tensor.dtype() != dtype || count < 0 || tensor.rows() != 1 || tensor.cols() < count) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be a vector of " + count + " " + dtype
                + " or more, got " + tensor);
        }
    }

    /** A vector of {@code count} indices in host memory, all of them from 0 to under {@code bound}. */
    public static void indices(String operator, String argument, Tensor tensor, int count, int bound) {
        vector(operator, argument, tensor, DType.I32, count);
        long address = tensor.address();
        for (int i = 0; i < count; i++) {
            int index = RawMemory.ALL.get(ValueLayout.JAVA_INT_UNALIGNED, address + 4L * i);
            if (index < 0 || index >= bound) {
                throw new IllegalArgumentException(operator + ": " + argument + "[" + i + "] must be 0 to " + (bound - 1) + ", got "
                    + index);
            }
        }
    }

    /** No element of one in the other; columns of one buffer beside each other are fine. */
    public static void disjoint(String operator, String argument, Tensor a, String other, Tensor b) {
        if (a.size() == 0 || b.size() == 0 || a.storage() != b.storage()) {
            return;
        }
        long aEnd = a.offset() + (a.rows() - 1) * a.rowStride() + a.cols();
        long bEnd = b.offset() + (b.rows() - 1) * b.rowStride() + b.cols();
        if (aEnd <= b.offset() || bEnd <= a.offset()) {
            return;
        }
        if (a.rowStride() == b.rowStride()) {
            long shift = Math.floorMod(b.offset() - a.offset(), a.rowStride());
            if (shift >= a.cols() && shift + b.cols() <= a.rowStride()) {
                return;
            }
        }
        throw new IllegalArgumentException(operator + ": " + argument + " must not overlap " + other + ", got " + a + " at " + a.offset()
            + " and " + b + " at " + b.offset() + " of one buffer");
    }
}

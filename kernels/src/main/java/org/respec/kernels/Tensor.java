package org.respec.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * A row-major matrix view: {@code rows x cols} elements, {@code rowStride} elements from one row to the next. A vector is a
 * matrix of one row. Tensors own nothing; their {@link TensorArena} does.
 */
public final class Tensor {
    private final DType dtype;
    private final int rows;
    private final int cols;
    private final long rowStride;
    private final long offset;
    private final Storage storage;

    /**
     * A view of {@code storage} from element {@code offset} on.
     *
     * @throws IllegalArgumentException if the view would leave the storage
     */
    public Tensor(DType dtype, int rows, int cols, long rowStride, long offset, Storage storage) {
        this.dtype = Objects.requireNonNull(dtype);
        this.rows = rows;
        this.cols = cols;
        this.rowStride = rowStride;
        this.offset = offset;
        this.storage = Objects.requireNonNull(storage);
        if (rows < 0 || cols < 0 || rowStride < cols || offset < 0) {
            throw new IllegalArgumentException("tensor " + rows + "x" + cols + " with row stride " + rowStride + " at " + offset);
        }
        long last = rows == 0 || cols == 0 ? offset : Math.addExact(offset, Math.addExact(Math.multiplyExact(rows - 1L, rowStride), cols));
        if (Math.multiplyExact(last, dtype.bytes()) > storage.bytes()) {
            throw new IllegalArgumentException("tensor " + this + " needs " + last * dtype.bytes() + " bytes of " + storage.bytes());
        }
    }

    /** Type of its elements. */
    public DType dtype() {
        return dtype;
    }

    /** Rows of the matrix. */
    public int rows() {
        return rows;
    }

    /** Elements of a row; where rows are apart, fewer than the stride. */
    public int cols() {
        return cols;
    }

    /** Elements from the start of one row to the start of the next. */
    public long rowStride() {
        return rowStride;
    }

    /** Elements from the start of the storage to the first element. */
    public long offset() {
        return offset;
    }

    /** Whose bytes these are. */
    public Storage storage() {
        return storage;
    }

    /** Number of elements, padding between rows not counted. */
    public long size() {
        return (long) rows * cols;
    }

    /** Whether the elements lie without gaps. */
    public boolean contiguous() {
        return rowStride == cols || rows <= 1;
    }

    /** Address of the first element; throws {@link IllegalStateException} after the owning arena's close. */
    public long address() {
        return storage.address() + offset * dtype.bytes();
    }

    /** Rows {@code from} (inclusive) to {@code to} (exclusive). */
    public Tensor rows(int from, int to) {
        Objects.checkFromToIndex(from, to, rows);
        return new Tensor(dtype, to - from, cols, rowStride, offset + from * rowStride, storage);
    }

    /** Columns {@code from} (inclusive) to {@code to} (exclusive) of every row. */
    public Tensor columns(int from, int to) {
        Objects.checkFromToIndex(from, to, cols);
        return new Tensor(dtype, rows, to - from, rowStride, offset + from, storage);
    }

    /** The same elements with another shape; only for contiguous tensors. */
    public Tensor reshape(int newRows, int newCols) {
        if (!contiguous() || (long) newRows * newCols != size()) {
            throw new IllegalArgumentException("cannot reshape " + this + " to " + newRows + "x" + newCols);
        }
        return new Tensor(dtype, newRows, newCols, newCols, offset, storage);
    }

    /** The elements as one host segment, gaps included; throws {@link IllegalStateException} for device memory. */
    public MemorySegment host() {
        long elements = rows == 0 || cols == 0 ? 0 : (rows - 1L) * rowStride + cols;
        return storage.host().asSlice(offset * dtype.bytes(), elements * dtype.bytes());
    }

    @Override
    public String toString() {
        return dtype + "[" + rows + "x" + cols + (contiguous() ? "" : " stride " + rowStride) + "]";
    }
}

package org.respec.kernels;

/** Owner of tensors: all of them live until it is closed. Use after close is an {@link IllegalStateException}. */
public interface TensorArena extends Mirrors, AutoCloseable {
    /**
     * A zero-filled tensor on the device of the {@link Ops} that made this arena, aligned to 64 bytes.
     *
     * @throws OutOfDeviceMemory if it has not so much left
     */
    Tensor allocate(DType dtype, int rows, int cols);

    /**
     * A zero-filled tensor in page-locked host memory, for operators that say that they take one; {@link Tensor#host} is where it lies. On
     * the CPU a tensor like any other.
     */
    default Tensor pinned(DType dtype, int rows, int cols) {
        return allocate(dtype, rows, cols);
    }

    /** Bytes allocated on the device so far. */
    long bytes();

    /** Frees everything; a second call does nothing. */
    @Override
    void close();
}

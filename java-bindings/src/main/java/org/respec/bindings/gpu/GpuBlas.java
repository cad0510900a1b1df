package org.respec.bindings.gpu;

/** Matrix products on the device, accumulated in 32-bit floats. */
public interface GpuBlas extends AutoCloseable {
    /** Element types of operands. */
    enum Type { F32, BF16 }

    /**
     * {@code C = beta C + op(A) op(B)}, row-major: op(A) is [m x k], op(B) [k x n], C [m x n]; leading dimensions in elements, device
     * addresses of checked ranges. Products of F32 operands are true 32-bit ones, not TF32.
     *
     * @param inputs type of A and B
     * @param output type of C
     * @param beta 0 to overwrite C, 1 to add to it
     */
    void gemm(boolean transposeA, boolean transposeB, int m, int n, int k, Type inputs, long a, int lda, long b, int ldb, float beta,
              Type output, long c, int ldc);

    @Override
    void close();
}

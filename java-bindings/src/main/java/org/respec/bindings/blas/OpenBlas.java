package org.respec.bindings.blas;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import org.respec.bindings.nativelib.NativeLibraries;

/**
 * Single-precision matrix products by OpenBLAS, on the calling thread alone: callers split the work themselves, in a fixed way, so
 * that bits do not depend on how many threads there are. Calls from several threads at once are safe.
 */
public final class OpenBlas {
    private static final int ROW_MAJOR = 101;
    private static final int NO_TRANSPOSE = 111;
    private static final int TRANSPOSE = 112;

    private final MethodHandle sgemm;

    private OpenBlas(SymbolLookup library) {
        Linker linker = Linker.nativeLinker();
        sgemm = linker.downcallHandle(library.findOrThrow("cblas_sgemm"), FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT,
            ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT,
            ValueLayout.JAVA_FLOAT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT,
            ValueLayout.JAVA_FLOAT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        MethodHandle threads = linker.downcallHandle(library.findOrThrow("openblas_set_num_threads"),
            FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT));
        try {
            threads.invokeExact(1);
        } catch (Throwable t) {
            throw new IllegalStateException("OpenBLAS refused to run on one thread", t);
        }
    }

    /** Loads the library that comes with the build; {@link IllegalStateException} where it does not load. */
    public static OpenBlas load() {
        return new OpenBlas(NativeLibraries.load("org/bytedeco/openblas/linux-x86_64", "libopenblas.so.0",
            List.of("libgcc_s.so.1", "libquadmath.so.0", "libgfortran.so.5")));
    }

    /**
     * {@code C = beta C + op(A) op(B)}, row-major; op(A) is [m x k], op(B) [k x n], C [m x n]. Leading dimensions in elements.
     *
     * @param beta 0 to overwrite C, 1 to add to it
     * @throws IllegalArgumentException if a size is negative, a leading dimension too small, or a segment too short
     */
    public void sgemm(boolean transposeA, boolean transposeB, int m, int n, int k, MemorySegment a, int lda, MemorySegment b, int ldb,
                      float beta, MemorySegment c, int ldc) {
        if (m < 0 || n < 0 || k < 0) {
            throw new IllegalArgumentException("sgemm of " + m + "x" + n + "x" + k);
        }
        check("A", a, transposeA ? k : m, transposeA ? m : k, lda);
        check("B", b, transposeB ? n : k, transposeB ? k : n, ldb);
        check("C", c, m, n, ldc);
        if (m == 0 || n == 0) {
            return;
        }
        try {
            sgemm.invokeExact(ROW_MAJOR, transposeA ? TRANSPOSE : NO_TRANSPOSE, transposeB ? TRANSPOSE : NO_TRANSPOSE, m, n, k, 1f, a, lda,
                b, ldb, beta, c, ldc);
        } catch (Throwable t) {
            throw new IllegalStateException("sgemm failed", t);
        }
    }

    private static void check(String name, MemorySegment matrix, int rows, int cols, int leading) {
        if (leading < Math.max(1, cols)) {
            throw new IllegalArgumentException("sgemm: leading dimension " + leading + " of " + name + " is under its " + cols
                + " columns");
        }
        long elements = rows == 0 || cols == 0 ? 0 : Math.addExact(Math.multiplyExact(rows - 1L, leading), cols);
        if (matrix.byteSize() < Math.multiplyExact(4L, elements)) {
            throw new IllegalArgumentException("sgemm: " + name + " needs " + 4 * elements + " bytes, got " + matrix.byteSize());
        }
    }
}

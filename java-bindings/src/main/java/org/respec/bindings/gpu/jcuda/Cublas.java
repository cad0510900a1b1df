package org.respec.bindings.gpu.jcuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.CudaLibrary;
import org.respec.bindings.nativelib.JcudaNatives;
import org.respec.bindings.nativelib.NativeLibrary;

/**
 * Matrix products by cuBLAS, in one stream. The handle is JCublas2's where cuBLAS of CUDA 12 is there, our own for CUDA 13; the product
 * itself is called directly in both cases, because JCuda needs several microseconds and objects to pass five pointers.
 *
 * <p>cuBLAS is column-major. A row-major matrix read as column-major is its transpose, and C' = op(B)' op(A)': so the operands change
 * places and nothing is moved. Products of floats use the pedantic 32-bit mode (no TF32, whatever the environment says); bf16 operands
 * are accumulated in 32 bits, partial sums of a split product included. The handle has a stream and a workspace of its own, which makes
 * results repeatable and keeps captured graphs from allocating.
 */
final class Cublas implements GpuBlas, Context.Resource {
    /** What cuBLAS recommends for Hopper and newer. */
    static final long WORKSPACE_BYTES = 32L << 20;
    /** CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION. */
    static final int MATH_MODE = 16;
    private static final int OP_N = 0;
    private static final int OP_T = 1;
    private static final int CUDA_R_32F = 0;
    private static final int CUDA_R_16BF = 14;
    private static final int COMPUTE_32F = 68;
    private static final int COMPUTE_32F_PEDANTIC = 69;
    private static final int GEMM_DEFAULT = -1;

    private final Context context;
    private final LaunchHistory history;
    private final CublasHandle handle;
    private final GpuMemory workspace;
    private final MethodHandle gemm;
    private final Arena arena = Arena.ofShared();
    /** alpha = 1 and beta, which cuBLAS reads before it returns. */
    private final MemorySegment factors = arena.allocate(JAVA_FLOAT, 2);
    private boolean alive = true;

    private Cublas(Context context, LaunchHistory history, NativeLibrary library, CublasHandle handle, GpuMemory workspace) {
        this.context = context;
        this.history = history;
        this.handle = handle;
        this.workspace = workspace;
        factors.setAtIndex(JAVA_FLOAT, 0, 1f);
        gemm = library.function("cublasGemmEx", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
            JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT,
            JAVA_INT));
        context.add(this);
    }

    /**
     * cuBLAS for a stream.
     *
     * @param workspace owned by the result
     * @throws GpuException if this machine has no cuBLAS, saying what to install
     */
    static Cublas open(CudaLibraries libraries, Context context, JcudaStream stream, GpuMemory workspace) {
        try {
            context.enter();
            NativeLibrary library;
            CublasHandle handle;
            if (libraries.find(CudaLibrary.CUBLAS_12).isPresent()) {
                library = JcudaNatives.cublas(libraries);
                handle = new JcublasHandle();
            } else if (libraries.find(CudaLibrary.CUBLAS_13).isPresent()) {
                library = libraries.require(CudaLibrary.CUBLAS_13);
                handle = new FfmCublasHandle(library);
            } else {
                throw new GpuException("no matrix products on the device: " + libraries.missing(CudaLibrary.CUBLAS_12) + "; or "
                    + libraries.missing(CudaLibrary.CUBLAS_13));
            }
            try {
                handle.bind(stream.handle(), workspace.address(), workspace.bytes());
                return new Cublas(context, stream.history(), library, handle, workspace);
            } catch (RuntimeException e) {
                handle.destroy();
                throw e;
            }
        } catch (RuntimeException e) {
            workspace.close();
            throw e;
        }
    }

    @Override
    public void gemm(boolean transposeA, boolean transposeB, int m, int n, int k, Type inputs, long a, int lda, long b, int ldb, float beta,
                     Type output, long c, int ldc) {
        if (!alive) {
            throw new IllegalStateException("cuBLAS is used after it was closed");
        }
        context.enter();
        check(transposeA, transposeB, m, n, k, inputs, lda, ldb, output, ldc);
        if (m == 0 || n == 0) {
            return;
        }
        int inputType = inputs == Type.F32 ? CUDA_R_32F : CUDA_R_16BF;
        int outputType = output == Type.F32 ? CUDA_R_32F : CUDA_R_16BF;
        factors.setAtIndex(JAVA_FLOAT, 1, beta);
        history.add(this, m, n, k, 0, 0, 0);
        int status;
        try {
            status = (int) gemm.invokeExact(handle.raw(), transposeB ? OP_T : OP_N, transposeA ? OP_T : OP_N, n, m, k, factors.address(), b,
                inputType, ldb, a, inputType, lda, factors.address() + 4, c, outputType, ldc,
                inputs == Type.F32 ? COMPUTE_32F_PEDANTIC : COMPUTE_32F, GEMM_DEFAULT);
        } catch (Throwable t) {
            throw new IllegalStateException("a call of cublasGemmEx could not be made", t);
        }
        if (status != 0) {
            throw new GpuException("cublasGemmEx of m " + m + " n " + n + " k " + k + " " + inputs + " to " + output + " failed: "
                + describe(status) + "; " + history.describe());
        }
    }

    private static void check(boolean transposeA, boolean transposeB, int m, int n, int k, Type inputs, int lda, int ldb, Type output,
        int ldc) {
        if (m < 0 || n < 0 || k < 0) {
            throw new IllegalArgumentException("gemm of m " + m + " n " + n + " k " + k);
        }
        if (inputs == Type.F32 && output == Type.BF16) {
            throw new IllegalArgumentException("gemm of F32 operands gives F32, not BF16");
        }
        leading("A", lda, transposeA ? m : k);
        leading("B", ldb, transposeB ? k : n);
        leading("C", ldc, n);
    }

    private static void leading(String name, int leading, int cols) {
        if (leading < Math.max(1, cols)) {
            throw new IllegalArgumentException("gemm: leading dimension " + leading + " of " + name + " is under its " + cols + " columns");
        }
    }

    static String describe(int status) {
        return switch (status) {
            case 1 -> "CUBLAS_STATUS_NOT_INITIALIZED (1)";
            case 3 -> "CUBLAS_STATUS_ALLOC_FAILED (3), out of memory";
            case 7 -> "CUBLAS_STATUS_INVALID_VALUE (7)";
            case 8 -> "CUBLAS_STATUS_ARCH_MISMATCH (8), the device is too old or too new for this cuBLAS";
            case 11 -> "CUBLAS_STATUS_MAPPING_ERROR (11)";
            case 13 -> "CUBLAS_STATUS_EXECUTION_FAILED (13), the device failed in this call or before";
            case 14 -> "CUBLAS_STATUS_INTERNAL_ERROR (14)";
            case 15 -> "CUBLAS_STATUS_NOT_SUPPORTED (15)";
            case 16 -> "CUBLAS_STATUS_LICENSE_ERROR (16)";
            default -> "status " + status;
        };
    }

    @Override
    public void close() {
        if (alive && !context.isClosed()) {
            context.retire("closing cuBLAS", this);
            workspace.close();
        }
    }

    @Override
    public void release() {
        alive = false;
        arena.close();
        if (!context.isDead()) {
            handle.destroy();
        }
    }

    @Override
    public String toString() {
        return "cublasGemmEx";
    }
}

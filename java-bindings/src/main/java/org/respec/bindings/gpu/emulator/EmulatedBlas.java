package org.respec.bindings.gpu.emulator;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.bindings.blas.OpenBlas;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.memory.RawMemory;

/** Matrix products by OpenBLAS; BF16 operands go through 32-bit copies. */
final class EmulatedBlas implements GpuBlas {
    private final OpenBlas blas;
    private final EmulatedStream stream;
    private boolean closed;

    EmulatedBlas(OpenBlas blas, EmulatedStream stream) {
        this.blas = blas;
        this.stream = stream;
    }

    @Override
    public void gemm(boolean transposeA, boolean transposeB, int m, int n, int k, Type inputs, long a, int lda, long b, int ldb, float beta,
                     Type output, long c, int ldc) {
        if (closed) {
            throw new IllegalStateException("the matrix products of a stream are closed");
        }
        Matrix left = new Matrix("A", inputs, a, transposeA ? k : m, transposeA ? m : k, lda);
        Matrix right = new Matrix("B", inputs, b, transposeB ? n : k, transposeB ? k : n, ldb);
        Matrix out = new Matrix("C", output, c, m, n, ldc);
        stream.driver().count(EmulatorDriver.Call.LAUNCH);
        stream.countLaunch();
        stream.run(() -> run(transposeA, transposeB, m, n, k, left, right, beta, out));
    }

    private void run(boolean transposeA, boolean transposeB, int m, int n, int k, Matrix a, Matrix b, float beta, Matrix c) {
        if (m == 0 || n == 0) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment left = a.floats(arena, stream.driver(), true);
            MemorySegment right = b.floats(arena, stream.driver(), true);
            MemorySegment out = c.floats(arena, stream.driver(), beta != 0);
            blas.sgemm(transposeA, transposeB, m, n, k, left, a.floatLeading(), right, b.floatLeading(), beta, out, c.floatLeading());
            c.store(out);
        }
    }

    @Override
    public void close() {
        closed = true;
    }

    /** A row-major matrix in device memory. */
    private record Matrix(String name, Type type, long address, int rows, int cols, int leading) {
        Matrix {
            if (rows < 0 || cols < 0 || leading < Math.max(1, cols)) {
                throw new IllegalArgumentException("gemm: " + name + " is " + rows + "x" + cols + " with a leading dimension of "
                    + leading);
            }
        }

        /** Row length of {@link #floats}. */
        int floatLeading() {
            return type == Type.F32 ? leading : Math.max(1, cols);
        }

        /** The matrix itself if it is F32, else a copy. */
        MemorySegment floats(Arena arena, EmulatorDriver driver, boolean fill) {
            if (rows == 0 || cols == 0) {
                return MemorySegment.NULL;
            }
            int size = type == Type.F32 ? 4 : 2;
            long bytes = Math.multiplyExact(Math.addExact(Math.multiplyExact(rows - 1L, leading), cols), size);
            driver.checkRange("gemm: " + name, address, bytes);
            if (type == Type.F32) {
                return MemorySegment.ofAddress(address).reinterpret(bytes);
            }
            MemorySegment copy = arena.allocate(Math.multiplyExact(4L * rows, (long) cols), 64);
            for (int r = 0; r < rows && fill; r++) {
                for (int c = 0; c < cols; c++) {
                    short bits = RawMemory.ALL.get(ValueLayout.JAVA_SHORT_UNALIGNED, address + 2 * ((long) r * leading + c));
                    copy.setAtIndex(ValueLayout.JAVA_FLOAT, (long) r * cols + c, Float.intBitsToFloat(bits << 16));
                }
            }
            return copy;
        }

        /** Brings a copy back, rounded to the nearest, ties to even. */
        void store(MemorySegment floats) {
            if (type == Type.F32) {
                return;
            }
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < cols; c++) {
                    int bits = floats.getAtIndex(ValueLayout.JAVA_INT, (long) r * cols + c);
                    boolean nan = (bits & 0x7fffffff) > 0x7f800000;
                    int rounded = nan ? bits | 0x400000 : bits + 0x7fff + ((bits >>> 16) & 1);
                    RawMemory.ALL.set(ValueLayout.JAVA_SHORT_UNALIGNED, address + 2 * ((long) r * leading + c), (short) (rounded >>> 16));
                }
            }
        }
    }
}

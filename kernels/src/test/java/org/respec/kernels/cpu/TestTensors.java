package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Host tensors for tests: seeded values, and around every tensor (and in the gaps of strided ones) guard bands that
 * {@link #checkGuards} compares with what was put there. Outputs start poisoned with a NaN.
 */
final class TestTensors implements AutoCloseable {
    /** A quiet NaN with a payload: what outputs and guard bands hold before an operator runs. */
    static final int POISON = 0x7fc0dead;
    private static final int GUARD = 64;

    private final long seed;
    private final SplittableRandom random;
    private final TensorArena arena = new CpuArena("test");
    private final List<Tensor> guarded = new ArrayList<>();
    private final List<Tensor> wholes = new ArrayList<>();

    TestTensors(long seed) {
        this.seed = seed;
        this.random = new SplittableRandom(seed);
    }

    TensorArena arena() {
        return arena;
    }

    SplittableRandom random() {
        return random;
    }

    /** A poisoned F32 tensor, {@code gap} elements between its rows. */
    Tensor poisoned(int rows, int cols, int gap) {
        return guarded(DType.F32, rows, cols, gap);
    }

    Tensor poisoned(int rows, int cols) {
        return poisoned(rows, cols, 0);
    }

    /** A poisoned I32 tensor. */
    Tensor poisonedInts(int rows, int cols) {
        return guarded(DType.I32, rows, cols, 0);
    }

    /** Standard normal values times {@code scale}. */
    Tensor normal(int rows, int cols, int gap, double scale) {
        Tensor tensor = poisoned(rows, cols, gap);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                set(tensor, r, c, (float) (gaussian() * scale));
            }
        }
        return tensor;
    }

    Tensor normal(int rows, int cols) {
        return normal(rows, cols, 0, 1);
    }

    /** A copy of {@code values}, {@code gap} elements between its rows. */
    Tensor of(float[] values, int rows, int cols, int gap) {
        Tensor tensor = poisoned(rows, cols, gap);
        for (int i = 0; i < values.length; i++) {
            set(tensor, i / cols, i % cols, values[i]);
        }
        return tensor;
    }

    /** An I32 vector. */
    Tensor ints(int... values) {
        Tensor tensor = poisonedInts(1, values.length);
        for (int i = 0; i < values.length; i++) {
            setInt(tensor, 0, i, values[i]);
        }
        return tensor;
    }

    /** {@code count} values from 0 (inclusive) to {@code bound} (exclusive). */
    Tensor randomInts(int count, int bound) {
        return ints(random.ints(count, 0, bound).toArray());
    }

    /** An independent copy with the same guards and strides. */
    Tensor copy(Tensor tensor) {
        return of(floats(tensor), tensor.rows(), tensor.cols(), (int) (tensor.rowStride() - tensor.cols()));
    }

    /** A tensor as a mirror of itself, for operators that take mirrors. */
    static HostMirror mirror(Tensor tensor) {
        return new HostMirror(tensor, tensor);
    }

    static float get(Tensor tensor, int row, int col) {
        return tensor.host().get(ValueLayout.JAVA_FLOAT, (row * tensor.rowStride() + col) * 4);
    }

    static void set(Tensor tensor, int row, int col, float value) {
        tensor.host().set(ValueLayout.JAVA_FLOAT, (row * tensor.rowStride() + col) * 4, value);
    }

    static int getInt(Tensor tensor, int row, int col) {
        return tensor.host().get(ValueLayout.JAVA_INT, (row * tensor.rowStride() + col) * 4);
    }

    static void setInt(Tensor tensor, int row, int col, int value) {
        tensor.host().set(ValueLayout.JAVA_INT, (row * tensor.rowStride() + col) * 4, value);
    }

    /** The elements, row by row, without the gaps. */
    static float[] floats(Tensor tensor) {
        float[] values = new float[Math.toIntExact(tensor.size())];
        MemorySegment host = tensor.host();
        for (int r = 0; r < tensor.rows(); r++) {
            MemorySegment.copy(host, ValueLayout.JAVA_FLOAT, r * tensor.rowStride() * 4, values, r * tensor.cols(), tensor.cols());
        }
        return values;
    }

    /** Fails unless all guard bands and gaps still hold what they were made with. */
    void checkGuards() {
        for (int i = 0; i < guarded.size(); i++) {
            Tensor tensor = guarded.get(i);
            MemorySegment whole = wholes.get(i).host();
            long elements = whole.byteSize() / 4;
            for (long e = 0; e < elements; e++) {
                long inside = e - GUARD;
                boolean own = inside >= 0 && tensor.rows() > 0 && inside / tensor.rowStride() < tensor.rows()
                    && inside % tensor.rowStride() < tensor.cols();
                if (!own && whole.get(ValueLayout.JAVA_INT, e * 4) != POISON) {
                    fail("guard of " + tensor + " overwritten at element " + inside + ", seed " + seed);
                }
            }
        }
    }

    /** Fails unless every element is within {@code absolute + relative * |expected|}; NaNs never are. */
    void assertClose(double[] expected, Tensor actual, double relative, double absolute) {
        float[] values = floats(actual);
        if (values.length != expected.length) {
            fail("expected " + expected.length + " elements, got " + values.length);
        }
        for (int i = 0; i < values.length; i++) {
            if (!(Math.abs(values[i] - expected[i]) <= absolute + relative * Math.abs(expected[i]))) {
                fail("row " + i / actual.cols() + ", column " + i % actual.cols() + " of " + actual + ": expected " + expected[i]
                    + ", got " + values[i] + ", seed " + seed);
            }
        }
    }

    void assertClose(float[] expected, Tensor actual, double relative, double absolute) {
        double[] wide = new double[expected.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = expected[i];
        }
        assertClose(wide, actual, relative, absolute);
    }

    /** Fails unless all elements are the same, bit for bit. */
    void assertSameBits(Tensor expected, Tensor actual) {
        float[] left = floats(expected);
        float[] right = floats(actual);
        if (left.length != right.length) {
            fail("expected " + left.length + " elements, got " + right.length);
        }
        for (int i = 0; i < left.length; i++) {
            if (Float.floatToRawIntBits(left[i]) != Float.floatToRawIntBits(right[i])) {
                fail("row " + i / actual.cols() + ", column " + i % actual.cols() + " of " + actual + ": expected the bits of "
                    + left[i] + ", got " + right[i] + ", seed " + seed);
            }
        }
    }

    @Override
    public void close() {
        arena.close();
    }

    private Tensor guarded(DType dtype, int rows, int cols, int gap) {
        int stride = cols + gap;
        Tensor whole = arena.allocate(dtype, 1, GUARD + rows * stride + GUARD);
        MemorySegment host = whole.host();
        for (long e = 0; e < whole.size(); e++) {
            host.set(ValueLayout.JAVA_INT, e * 4, POISON);
        }
        Tensor tensor = new Tensor(dtype, rows, cols, stride, GUARD, whole.storage());
        guarded.add(tensor);
        wholes.add(whole);
        return tensor;
    }

    private double gaussian() {
        return Math.sqrt(-2 * Math.log(1 - random.nextDouble())) * Math.cos(2 * Math.PI * random.nextDouble());
    }
}

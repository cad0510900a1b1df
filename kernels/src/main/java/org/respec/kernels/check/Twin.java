package org.respec.kernels.check;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * The same matrix on the CPU and on a device, with poisoned guard bands around it and in the gaps between its rows. The CPU's side
 * is F32 where the device's is BF16.
 */
public final class Twin {
    /** What guards and outputs hold before an operator runs: a NaN with a payload, as one 32-bit word and as two bfloat16. */
    public static final int POISON = 0x7fd57fd5;
    private static final int GUARD = 64;

    private final Ops ops;
    private final Tensor truth;
    private final HostMirror whole;
    private final Tensor device;

    Twin(Ops ops, TensorArena truthArena, TensorArena deviceArena, DType dtype, int rows, int cols, int gap) {
        this.ops = ops;
        int stride = cols + gap;
        this.truth = truthArena.allocate(dtype == DType.BF16 ? DType.F32 : dtype, rows, cols);
        // A multiple of 64 elements, so that the guards of BF16 matrices are whole words.
        int elements = (2 * GUARD + rows * stride + 63) / 64 * 64;
        this.whole = deviceArena.mirror(dtype, 1, elements);
        this.device = new Tensor(dtype, rows, cols, stride, GUARD, whole.device().storage());
        MemorySegment words = whole.host().host();
        for (long at = 0; at < words.byteSize(); at += 4) {
            words.set(ValueLayout.JAVA_INT, at, POISON);
        }
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                if (dtype == DType.F32 || dtype == DType.BF16) {
                    truth.host().set(ValueLayout.JAVA_FLOAT, (r * truth.rowStride() + c) * 4, Float.intBitsToFloat(POISON));
                }
            }
        }
        push();
    }

    /** The CPU's tensor. */
    public Tensor truth() {
        return truth;
    }

    /** The device's tensor. */
    public Tensor device() {
        return device;
    }

    int rows() {
        return device.rows();
    }

    int cols() {
        return device.cols();
    }

    private long at(int row, int col) {
        return device.offset() + row * device.rowStride() + col;
    }

    /** Puts a value on both sides' host copies, rounded to the device's type; {@link #push} brings it to the device. */
    void set(int row, int col, double value) {
        float rounded = (float) value;
        long byteAt = at(row, col) * device.dtype().bytes();
        switch (device.dtype()) {
            case F32 -> whole.host().host().set(ValueLayout.JAVA_FLOAT, byteAt, rounded);
            case BF16 -> {
                short bits = bf16(rounded);
                whole.host().host().set(ValueLayout.JAVA_SHORT, byteAt, bits);
                rounded = Float.intBitsToFloat(bits << 16);
            }
            case I32 -> whole.host().host().set(ValueLayout.JAVA_INT, byteAt, (int) value);
            case I64 -> throw new IllegalArgumentException("set on I64");
        }
        long truthAt = (row * truth.rowStride() + col) * 4;
        if (device.dtype() == DType.I32) {
            truth.host().set(ValueLayout.JAVA_INT, truthAt, (int) value);
        } else {
            truth.host().set(ValueLayout.JAVA_FLOAT, truthAt, rounded);
        }
    }

    /** The bits of a float rounded to the nearest bfloat16. */
    static short bf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return Float.isNaN(value) ? (short) ((bits | 0x400000) >>> 16) : (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** Brings the host copy to the device. */
    void push() {
        ops.push(whole, whole.host().size());
    }

    /** Brings the device's matrix back; {@link #got} then reads it. */
    void pull() {
        ops.pull(whole, whole.host().size());
    }

    /** The device's value, after {@link #pull}. */
    double got(int row, int col) {
        long byteAt = at(row, col) * device.dtype().bytes();
        return switch (device.dtype()) {
            case F32 -> whole.host().host().get(ValueLayout.JAVA_FLOAT, byteAt);
            case BF16 -> Float.intBitsToFloat(whole.host().host().get(ValueLayout.JAVA_SHORT, byteAt) << 16);
            case I32 -> whole.host().host().get(ValueLayout.JAVA_INT, byteAt);
            case I64 -> throw new IllegalArgumentException("got on I64");
        };
    }

    /** The CPU's value. */
    double want(int row, int col) {
        long truthAt = (row * truth.rowStride() + col) * 4;
        return truth.dtype() == DType.I32 ? truth.host().get(ValueLayout.JAVA_INT, truthAt)
            : truth.host().get(ValueLayout.JAVA_FLOAT, truthAt);
    }

    long gotLong(int row, int col) {
        return whole.host().host().get(ValueLayout.JAVA_LONG, at(row, col) * 8);
    }

    long wantLong(int row, int col) {
        return truth.host().get(ValueLayout.JAVA_LONG, (row * truth.rowStride() + col) * 8);
    }

    /** After {@link #pull}: the element outside the matrix that is no longer poison, or -1. */
    long brokenGuard() {
        int bytes = device.dtype().bytes();
        MemorySegment words = whole.host().host();
        // A matrix of no columns owns nothing, and its row stride may be 0.
        boolean empty = device.size() == 0;
        for (long e = 0; e < whole.host().size(); e++) {
            long inside = e - device.offset();
            boolean own = !empty && inside >= 0 && inside / device.rowStride() < device.rows()
                && inside % device.rowStride() < device.cols();
            if (own) {
                continue;
            }
            for (int b = 0; b < bytes; b++) {
                long at = e * bytes + b;
                if (words.get(ValueLayout.JAVA_BYTE, at) != (byte) (POISON >>> (8 * (at & 3)))) {
                    return e;
                }
            }
        }
        return -1;
    }
}

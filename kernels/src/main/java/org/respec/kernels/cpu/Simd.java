package org.respec.kernels.cpu;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;
import org.respec.bindings.memory.RawMemory;

/**
 * Loads, stores and sums of eight floats at absolute addresses, the width fixed so that sums have the same bits on every machine.
 * Addresses must lie in tensors that the operator has checked.
 */
final class Simd {
    static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_256;
    /** What vectors are cast to where methods are called on them and their class cannot be seen: see {@link PanelKernel}. */
    static final Class<? extends FloatVector> TYPE = FloatVector.zero(SPECIES).getClass();
    static final int LANES = 8;
    static final long BYTES = 32;
    /** Changes no address that a process can have, and proves to C2 that it lies in {@link RawMemory#ALL}. */
    static final long ADDRESS = (1L << 56) - 1;
    static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    static final VectorShuffle<Float> SWAP_4 = VectorShuffle.fromValues(SPECIES, 4, 5, 6, 7, 0, 1, 2, 3);
    static final VectorShuffle<Float> SWAP_2 = VectorShuffle.fromValues(SPECIES, 2, 3, 0, 1, 6, 7, 4, 5);
    static final VectorShuffle<Float> SWAP_1 = VectorShuffle.fromValues(SPECIES, 1, 0, 3, 2, 5, 4, 7, 6);

    private Simd() {
    }

    static FloatVector load(long address) {
        return TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, address & ADDRESS, ORDER));
    }

    static void store(FloatVector value, long address) {
        TYPE.cast(value).intoMemorySegment(RawMemory.ALL, address & ADDRESS, ORDER);
    }

    static FloatVector zero() {
        return TYPE.cast(FloatVector.zero(SPECIES));
    }

    static FloatVector broadcast(float value) {
        return TYPE.cast(FloatVector.broadcast(SPECIES, value));
    }

    /** Sum of the lanes, in one fixed order: {@code reduceLanes} may add in another one once it is compiled. */
    static float sum(FloatVector v) {
        FloatVector halves = v.add(v.rearrange(SWAP_4));
        FloatVector quarters = halves.add(halves.rearrange(SWAP_2));
        return quarters.lane(0) + quarters.lane(1);
    }

    static float get(long address) {
        return RawMemory.ALL.get(FLOAT, address & ADDRESS);
    }

    static void put(long address, float value) {
        RawMemory.ALL.set(FLOAT, address & ADDRESS, value);
    }

    static int getInt(long address) {
        return RawMemory.ALL.get(INT, address & ADDRESS);
    }

    static void putInt(long address, int value) {
        RawMemory.ALL.set(INT, address & ADDRESS, value);
    }

    static long getLong(long address) {
        return RawMemory.ALL.get(LONG, address & ADDRESS);
    }

    static void putLong(long address, long value) {
        RawMemory.ALL.set(LONG, address & ADDRESS, value);
    }

    /** Dot product of two runs of {@code n} floats: eight chains of fma and a tail chain, summed in a fixed order. */
    static float dot(long a, long b, int n) {
        FloatVector sum = zero();
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            sum = load(a + 4L * i).fma(load(b + 4L * i), sum);
        }
        float result = sum(TYPE.cast(sum));
        for (; i < n; i++) {
            result = Math.fma(get(a + 4L * i), get(b + 4L * i), result);
        }
        return result;
    }

    /** {@code y += scale * x} over {@code n} floats. */
    static void axpy(float scale, long x, long y, int n) {
        FloatVector s = broadcast(scale);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(s.fma(load(x + 4L * i), load(y + 4L * i)), y + 4L * i);
        }
        for (; i < n; i++) {
            put(y + 4L * i, Math.fma(scale, get(x + 4L * i), get(y + 4L * i)));
        }
    }
}

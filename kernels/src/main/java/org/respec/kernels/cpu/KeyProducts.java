package org.respec.kernels.cpu;

import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.respec.bindings.memory.RawMemory;

/**
 * The two products of attention's query with listed keys: scores, and values mixed by weights.
 *
 * <p>Scores are made {@link #KEYS} at a time: one chain of fma a key, and a tree of exchanges that sums the lanes of all eight chains at
 * once. Each has the bits of {@link Simd#dot}: the exchanges add the same lanes in the same order. (Summed one by one, the lanes cost
 * twice the products of a head of 32, and the scores' maximum a chain of 8 cycles a key.) Values of even and odd keys are summed apart,
 * two chains for each run of lanes, so that neither waits for the other.
 *
 * <p>Written out in methods that call the Vector API alone, for the reason given at {@link PanelKernel}.
 */
final class KeyProducts {
    /** Keys of one block. */
    static final int KEYS = 8;
    private static final Class<? extends FloatVector> TYPE = Simd.TYPE;
    private static final ByteOrder ORDER = Simd.ORDER;
    private static final long ADDRESS = Simd.ADDRESS;
    private static final long MAX_STRIDE = PanelKernel.MAX_STRIDE;
    /** Each lane's number. */
    private static final FloatVector LANE = TYPE.cast(FloatVector.zero(Simd.SPECIES).addIndex(1));
    private static final VectorMask<Float> HIGH_4 = VectorMask.fromLong(Simd.SPECIES, 0b11110000);
    private static final VectorMask<Float> HIGH_2 = VectorMask.fromLong(Simd.SPECIES, 0b11001100);
    private static final VectorMask<Float> HIGH_1 = VectorMask.fromLong(Simd.SPECIES, 0b10101010);

    private KeyProducts() {
    }

    /**
     * {@code scores[t] = scale * (q . k_t)} for {@code t < count}, where key t lies at {@code keys[t] + shift}, and {@code beyond} from
     * there to the next multiple of {@link #KEYS} and {@link #KEYS} more. Reads keys up to that multiple, which must be addresses of
     * listed keys, too. Returns the greatest score.
     *
     * <p>Addresses are made once for each 32 elements. (Made for each 8 they were most of the loop: 40 keys of 32 elements took 109 ns, and
     * take 85 on an Intel Xeon.) So heads whose size is no multiple of 32 go key by key.
     */
    static float scores(long q, long[] keys, long shift, int dim, int count, float scale, float beyond, float[] scores) {
        if (dim % (4 * Simd.LANES) != 0) {
            return oneByOne(q, keys, shift, dim, count, scale, beyond, scores);
        }
        FloatVector most = FloatVector.broadcast(Simd.SPECIES, Float.NEGATIVE_INFINITY);
        FloatVector rest = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, beyond));
        FloatVector left = FloatVector.broadcast(Simd.SPECIES, (float) count);
        long query = q & ADDRESS;
        long end = 4L * dim & MAX_STRIDE;
        int t = 0;
        for (; t < count; t += KEYS) {
            long k0 = (keys[t] + shift) & ADDRESS;
            long k1 = (keys[t + 1] + shift) & ADDRESS;
            long k2 = (keys[t + 2] + shift) & ADDRESS;
            long k3 = (keys[t + 3] + shift) & ADDRESS;
            long k4 = (keys[t + 4] + shift) & ADDRESS;
            long k5 = (keys[t + 5] + shift) & ADDRESS;
            long k6 = (keys[t + 6] + shift) & ADDRESS;
            long k7 = (keys[t + 7] + shift) & ADDRESS;
            FloatVector s0 = FloatVector.zero(Simd.SPECIES);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            FloatVector s4 = s0;
            FloatVector s5 = s0;
            FloatVector s6 = s0;
            FloatVector s7 = s0;
            long at = 0;
            while (at != end) {
                at &= MAX_STRIDE;
                FloatVector a = TYPE.cast(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, query + at, ORDER));
                s0 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k0 + at, ORDER), s0);
                s1 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k1 + at, ORDER), s1);
                s2 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k2 + at, ORDER), s2);
                s3 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k3 + at, ORDER), s3);
                s4 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k4 + at, ORDER), s4);
                s5 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k5 + at, ORDER), s5);
                s6 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k6 + at, ORDER), s6);
                s7 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k7 + at, ORDER), s7);
                a = TYPE.cast(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, query + at + Simd.BYTES, ORDER));
                s0 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k0 + at + Simd.BYTES, ORDER), s0);
                s1 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k1 + at + Simd.BYTES, ORDER), s1);
                s2 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k2 + at + Simd.BYTES, ORDER), s2);
                s3 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k3 + at + Simd.BYTES, ORDER), s3);
                s4 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k4 + at + Simd.BYTES, ORDER), s4);
                s5 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k5 + at + Simd.BYTES, ORDER), s5);
                s6 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k6 + at + Simd.BYTES, ORDER), s6);
                s7 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k7 + at + Simd.BYTES, ORDER), s7);
                a = TYPE.cast(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, query + at + 2 * Simd.BYTES, ORDER));
                s0 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k0 + at + 2 * Simd.BYTES, ORDER), s0);
                s1 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k1 + at + 2 * Simd.BYTES, ORDER), s1);
                s2 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k2 + at + 2 * Simd.BYTES, ORDER), s2);
                s3 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k3 + at + 2 * Simd.BYTES, ORDER), s3);
                s4 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k4 + at + 2 * Simd.BYTES, ORDER), s4);
                s5 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k5 + at + 2 * Simd.BYTES, ORDER), s5);
                s6 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k6 + at + 2 * Simd.BYTES, ORDER), s6);
                s7 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k7 + at + 2 * Simd.BYTES, ORDER), s7);
                a = TYPE.cast(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, query + at + 3 * Simd.BYTES, ORDER));
                s0 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k0 + at + 3 * Simd.BYTES, ORDER), s0);
                s1 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k1 + at + 3 * Simd.BYTES, ORDER), s1);
                s2 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k2 + at + 3 * Simd.BYTES, ORDER), s2);
                s3 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k3 + at + 3 * Simd.BYTES, ORDER), s3);
                s4 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k4 + at + 3 * Simd.BYTES, ORDER), s4);
                s5 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k5 + at + 3 * Simd.BYTES, ORDER), s5);
                s6 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k6 + at + 3 * Simd.BYTES, ORDER), s6);
                s7 = a.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, k7 + at + 3 * Simd.BYTES, ORDER), s7);
                at += 4 * Simd.BYTES;
            }
            s0 = TYPE.cast(s0);
            s1 = TYPE.cast(s1);
            s2 = TYPE.cast(s2);
            s3 = TYPE.cast(s3);
            s4 = TYPE.cast(s4);
            s5 = TYPE.cast(s5);
            s6 = TYPE.cast(s6);
            s7 = TYPE.cast(s7);
            // Lane i of a sum of halves is v[i] + v[i + 4]: keys 0 to 3 keep theirs in the low half, 4 to 7 in the high one.
            s0 = s0.blend(s4, HIGH_4).add(s4.blend(s0, HIGH_4).rearrange(Simd.SWAP_4));
            s1 = s1.blend(s5, HIGH_4).add(s5.blend(s1, HIGH_4).rearrange(Simd.SWAP_4));
            s2 = s2.blend(s6, HIGH_4).add(s6.blend(s2, HIGH_4).rearrange(Simd.SWAP_4));
            s3 = s3.blend(s7, HIGH_4).add(s7.blend(s3, HIGH_4).rearrange(Simd.SWAP_4));
            s0 = s0.blend(s2, HIGH_2).add(s2.blend(s0, HIGH_2).rearrange(Simd.SWAP_2));
            s1 = s1.blend(s3, HIGH_2).add(s3.blend(s1, HIGH_2).rearrange(Simd.SWAP_2));
            s0 = s0.blend(s1, HIGH_1).add(s1.blend(s0, HIGH_1).rearrange(Simd.SWAP_1));
            left = TYPE.cast(left);
            s0 = TYPE.cast(s0.mul(scale).blend(rest, LANE.compare(VectorOperators.GE, left)));
            left = left.sub(KEYS);
            most = TYPE.cast(most);
            most = most.blend(s0, s0.compare(VectorOperators.GT, most));
            s0.intoArray(scores, t);
        }
        rest.intoArray(scores, t);
        // Not max, which takes five instructions to tell zeros' signs and find NaNs.
        most = TYPE.cast(most);
        FloatVector other = TYPE.cast(most.rearrange(Simd.SWAP_4));
        most = TYPE.cast(most.blend(other, other.compare(VectorOperators.GT, most)));
        other = TYPE.cast(most.rearrange(Simd.SWAP_2));
        most = TYPE.cast(most.blend(other, other.compare(VectorOperators.GT, most)));
        other = TYPE.cast(most.rearrange(Simd.SWAP_1));
        return TYPE.cast(most.blend(other, other.compare(VectorOperators.GT, most))).lane(0);
    }

    /** Heads of any size. */
    private static float oneByOne(long q, long[] keys, long shift, int dim, int count, float scale, float beyond, float[] scores) {
        float most = Float.NEGATIVE_INFINITY;
        for (int t = 0; t < count; t++) {
            scores[t] = Simd.dot(q, keys[t] + shift, dim) * scale;
            most = Math.max(most, scores[t]);
        }
        Arrays.fill(scores, count, Math.ceilDiv(count, KEYS) * KEYS + KEYS, beyond);
        return most;
    }

    /**
     * {@code target = inverse * sum over t < count of p[t] * v_t}, where value t lies at {@code keys[t] + shift}. Reads weight and key
     * {@code count}, too: a weight of 0 and any listed key.
     */
    static void mix(float[] p, long[] keys, long shift, int dim, int count, float inverse, long target) {
        int d = 0;
        for (; d <= dim - 4 * Simd.LANES; d += 4 * Simd.LANES) {
            FloatVector a0 = FloatVector.zero(Simd.SPECIES);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            FloatVector b0 = a0;
            FloatVector b1 = a0;
            FloatVector b2 = a0;
            FloatVector b3 = a0;
            for (int t = 0; t < count; t += 2) {
                FloatVector w = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, p[t]));
                long v = keys[t] + shift + 4L * d & ADDRESS;
                a0 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v, ORDER), a0);
                a1 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + Simd.BYTES, ORDER), a1);
                a2 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + 2 * Simd.BYTES, ORDER), a2);
                a3 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + 3 * Simd.BYTES, ORDER), a3);
                w = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, p[t + 1]));
                v = keys[t + 1] + shift + 4L * d & ADDRESS;
                b0 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v, ORDER), b0);
                b1 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + Simd.BYTES, ORDER), b1);
                b2 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + 2 * Simd.BYTES, ORDER), b2);
                b3 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + 3 * Simd.BYTES, ORDER), b3);
            }
            long at = target + 4L * d & ADDRESS;
            TYPE.cast(a0).add(b0).mul(inverse).intoMemorySegment(RawMemory.ALL, at, ORDER);
            TYPE.cast(a1).add(b1).mul(inverse).intoMemorySegment(RawMemory.ALL, at + Simd.BYTES, ORDER);
            TYPE.cast(a2).add(b2).mul(inverse).intoMemorySegment(RawMemory.ALL, at + 2 * Simd.BYTES, ORDER);
            TYPE.cast(a3).add(b3).mul(inverse).intoMemorySegment(RawMemory.ALL, at + 3 * Simd.BYTES, ORDER);
        }
        if (d < dim) {
            mixRest(p, keys, shift, d, dim, count, inverse, target);
        }
    }

    /**
     * {@code target += sum over t < count of p[first + t] * v_t}, where value t lies at {@code rows + t * stride}: weights of one key by
     * all rows that see it.
     */
    static void addMix(float[] p, int first, long rows, long stride, int dim, int count, long target) {
        int d = 0;
        for (; d <= dim - 4 * Simd.LANES; d += 4 * Simd.LANES) {
            long at = target + 4L * d & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, at, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, at + Simd.BYTES, ORDER);
            FloatVector a2 = FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, at + 2 * Simd.BYTES, ORDER);
            FloatVector a3 = FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, at + 3 * Simd.BYTES, ORDER);
            long v = rows + 4L * d;
            for (int t = 0; t < count; t++) {
                FloatVector w = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, p[first + t]));
                v &= ADDRESS;
                a0 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v, ORDER), a0);
                a1 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + Simd.BYTES, ORDER), a1);
                a2 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + 2 * Simd.BYTES, ORDER), a2);
                a3 = w.fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v + 3 * Simd.BYTES, ORDER), a3);
                v += stride;
            }
            TYPE.cast(a0).intoMemorySegment(RawMemory.ALL, at, ORDER);
            TYPE.cast(a1).intoMemorySegment(RawMemory.ALL, at + Simd.BYTES, ORDER);
            TYPE.cast(a2).intoMemorySegment(RawMemory.ALL, at + 2 * Simd.BYTES, ORDER);
            TYPE.cast(a3).intoMemorySegment(RawMemory.ALL, at + 3 * Simd.BYTES, ORDER);
        }
        for (int t = 0; d < dim && t < count; t++) {
            Simd.axpy(p[first + t], rows + t * stride + 4L * d, target + 4L * d, dim - d);
        }
    }

    /**
     * The softmax's gradient: makes {@code p = inverse * weights} of weights and {@code scale * p (e - sum p e)} of e. Goes on to the next
     * multiple of {@link #KEYS}, where weights must be 0 and e finite.
     */
    static void softmaxBackward(float[] weights, float[] e, int count, float inverse, float scale) {
        FloatVector normal = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, inverse));
        FloatVector sums = FloatVector.zero(Simd.SPECIES);
        for (int t = 0; t < count; t += KEYS) {
            FloatVector p = normal.mul(FloatVector.fromArray(Simd.SPECIES, weights, t));
            p.intoArray(weights, t);
            sums = p.fma(FloatVector.fromArray(Simd.SPECIES, e, t), sums);
        }
        // Simd.sum, written out.
        sums = TYPE.cast(sums);
        sums = sums.add(sums.rearrange(Simd.SWAP_4));
        sums = sums.add(sums.rearrange(Simd.SWAP_2));
        FloatVector total = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, sums.lane(0) + sums.lane(1)));
        for (int t = 0; t < count; t += KEYS) {
            FloatVector p = TYPE.cast(FloatVector.fromArray(Simd.SPECIES, weights, t));
            p.mul(TYPE.cast(FloatVector.fromArray(Simd.SPECIES, e, t)).sub(total)).mul(scale).intoArray(e, t);
        }
    }

    /** Elements from {@code d} on, which are no four runs of lanes. */
    private static void mixRest(float[] p, long[] keys, long shift, int d, int dim, int count, float inverse, long target) {
        for (; d <= dim - Simd.LANES; d += Simd.LANES) {
            FloatVector a = FloatVector.zero(Simd.SPECIES);
            for (int t = 0; t < count; t++) {
                long v = keys[t] + shift + 4L * d & ADDRESS;
                a = TYPE.cast(FloatVector.broadcast(Simd.SPECIES, p[t]))
                    .fma(FloatVector.fromMemorySegment(Simd.SPECIES, RawMemory.ALL, v, ORDER), a);
            }
            TYPE.cast(a).mul(inverse).intoMemorySegment(RawMemory.ALL, target + 4L * d & ADDRESS, ORDER);
        }
        for (; d < dim; d++) {
            float sum = 0;
            for (int t = 0; t < count; t++) {
                sum = Math.fma(p[t], Simd.get(keys[t] + shift + 4L * d), sum);
            }
            Simd.put(target + 4L * d, sum * inverse);
        }
    }
}

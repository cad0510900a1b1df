package org.respec.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Exponentials made of exactly rounded steps only, so that the scalar and the vector form, at any width and in any compilation
 * tier, give the same bits.
 */
final class FastMath {
    /** Results under the smallest normal float are 0. */
    private static final float SMALLEST = -87.33654f;
    private static final float LARGEST = 88.72283f;
    private static final float LOG2_E = 1.44269504f;
    private static final float LN2 = 0.69314718f;
    /** ln 2 less the float nearest to it. */
    private static final float LN2_REST = -1.9046543e-9f;
    /** 1.5 * 2^23: adding it rounds to an integer, which then sits in the low bits. */
    private static final float ROUND = 12582912f;

    // (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2]: Cephes' expf (Moshier).
    private static final float C0 = 1.9875691500e-4f;
    private static final float C1 = 1.3981999507e-3f;
    private static final float C2 = 8.3334519073e-3f;
    private static final float C3 = 4.1665795894e-2f;
    private static final float C4 = 1.6666665459e-1f;
    private static final float C5 = 5.0000001201e-1f;

    private FastMath() {
    }

    /** e^x within 2 ulp; 0 where that would be subnormal, infinity past the largest float, NaN for NaN. */
    static float exp(float x) {
        if (x < SMALLEST) {
            return 0f;
        }
        if (x > LARGEST) {
            return Float.POSITIVE_INFINITY;
        }
        if (x != x) {
            return x;
        }
        float shifted = Math.fma(x, LOG2_E, ROUND);
        float n = shifted - ROUND;
        float r = Math.fma(n, -LN2_REST, Math.fma(n, -LN2, x));
        float p = Math.fma(C0, r, C1);
        p = Math.fma(p, r, C2);
        p = Math.fma(p, r, C3);
        p = Math.fma(p, r, C4);
        p = Math.fma(p, r, C5);
        p = Math.fma(p, r * r, r) + 1f;
        // Multiplies by 2^n: adds n to the exponent, which holds n + 127 within the range checked above.
        return Float.intBitsToFloat(Float.floatToRawIntBits(p) + (Float.floatToRawIntBits(shifted) << 23));
    }

    /** {@link #exp(float)} of every lane. */
    static FloatVector exp(FloatVector x) {
        FloatVector shifted = x.lanewise(VectorOperators.FMA, LOG2_E, ROUND);
        FloatVector n = shifted.sub(ROUND);
        FloatVector r = n.lanewise(VectorOperators.FMA, n.broadcast(-LN2), x);
        r = n.lanewise(VectorOperators.FMA, n.broadcast(-LN2_REST), r);
        FloatVector p = r.lanewise(VectorOperators.FMA, C0, C1);
        p = p.lanewise(VectorOperators.FMA, r, r.broadcast(C2));
        p = p.lanewise(VectorOperators.FMA, r, r.broadcast(C3));
        p = p.lanewise(VectorOperators.FMA, r, r.broadcast(C4));
        p = p.lanewise(VectorOperators.FMA, r, r.broadcast(C5));
        p = p.lanewise(VectorOperators.FMA, r.mul(r), r).add(1f);
        IntVector scaled = p.reinterpretAsInts().add(shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23));
        return scaled.reinterpretAsFloats()
            .blend(0f, x.compare(VectorOperators.LT, SMALLEST))
            .blend(Float.POSITIVE_INFINITY, x.compare(VectorOperators.GT, LARGEST))
            .blend(x, x.compare(VectorOperators.NE, x));
    }

    /** Elements that {@link #expAndSum} takes at a time. */
    static final int BLOCK = 16;
    /** Elements that are summed in floats. In one float, small ones are lost among many: of 26 thousand, a sum was 1e-5 off. */
    private static final int CHUNK = 1024;

    /** {@code n} rounded up to what {@link #expAndSum} takes. */
    static int padded(int n) {
        return (n + BLOCK - 1) / BLOCK * BLOCK;
    }

    /**
     * {@code out[i] = exp(in[i] - max)} for {@code i < n}, bit for bit as {@link #exp(float)}, and the sum of all: eight chains for each
     * chunk, added in the order of {@link Simd#sum}, and the chunks in a double. One long method on purpose: it is too large for the JIT
     * to inline, so that it is compiled for itself, with nothing left over to be boxed, however much its callers inline.
     *
     * @param n a multiple of {@link #BLOCK}; fill up with -infinity
     */
    static float expAndSum(float[] in, int n, float max, float[] out) {
        FloatVector c1 = Simd.broadcast(C1);
        FloatVector c2 = Simd.broadcast(C2);
        FloatVector c3 = Simd.broadcast(C3);
        FloatVector c4 = Simd.broadcast(C4);
        FloatVector c5 = Simd.broadcast(C5);
        FloatVector c0 = Simd.broadcast(C0);
        FloatVector log2e = Simd.broadcast(LOG2_E);
        FloatVector round = Simd.broadcast(ROUND);
        FloatVector ln2 = Simd.broadcast(-LN2);
        FloatVector ln2Rest = Simd.broadcast(-LN2_REST);
        FloatVector one = Simd.broadcast(1f);
        FloatVector zero = Simd.zero();
        FloatVector infinity = Simd.broadcast(Float.POSITIVE_INFINITY);
        FloatVector shift = Simd.broadcast(max);
        double total = 0;
        for (int from = 0; from < n; from += CHUNK) {
            int to = Math.min(n, from + CHUNK);
            FloatVector sum = Simd.zero();
            for (int i = from; i < to; i += BLOCK) {
                FloatVector x = Simd.TYPE.cast(FloatVector.fromArray(Simd.SPECIES, in, i)).sub(shift);
                FloatVector shifted = x.fma(log2e, round);
                FloatVector whole = shifted.sub(round);
                FloatVector r = whole.fma(ln2Rest, whole.fma(ln2, x));
                FloatVector p = c0.fma(r, c1);
                p = p.fma(r, c2);
                p = p.fma(r, c3);
                p = p.fma(r, c4);
                p = p.fma(r, c5);
                p = p.fma(r.mul(r), r).add(one);
                FloatVector e = p.reinterpretAsInts().add(shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23))
                    .reinterpretAsFloats()
                    .blend(zero, x.compare(VectorOperators.LT, SMALLEST))
                    .blend(infinity, x.compare(VectorOperators.GT, LARGEST))
                    .blend(x, x.compare(VectorOperators.NE, x));
                e.intoArray(out, i);
                sum = Simd.TYPE.cast(sum).add(e);

                x = Simd.TYPE.cast(FloatVector.fromArray(Simd.SPECIES, in, i + Simd.LANES)).sub(shift);
                shifted = x.fma(log2e, round);
                whole = shifted.sub(round);
                r = whole.fma(ln2Rest, whole.fma(ln2, x));
                p = c0.fma(r, c1);
                p = p.fma(r, c2);
                p = p.fma(r, c3);
                p = p.fma(r, c4);
                p = p.fma(r, c5);
                p = p.fma(r.mul(r), r).add(one);
                e = p.reinterpretAsInts().add(shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23))
                    .reinterpretAsFloats()
                    .blend(zero, x.compare(VectorOperators.LT, SMALLEST))
                    .blend(infinity, x.compare(VectorOperators.GT, LARGEST))
                    .blend(x, x.compare(VectorOperators.NE, x));
                e.intoArray(out, i + Simd.LANES);
                sum = sum.add(e);
            }
            // Simd.sum, written out: past C2's node limit calls are no longer inlined, but the Vector API's own are always.
            sum = Simd.TYPE.cast(sum);
            FloatVector halves = sum.add(sum.rearrange(Simd.SWAP_4));
            FloatVector quarters = halves.add(halves.rearrange(Simd.SWAP_2));
            total += quarters.lane(0) + quarters.lane(1);
        }
        return (float) total;
    }
}

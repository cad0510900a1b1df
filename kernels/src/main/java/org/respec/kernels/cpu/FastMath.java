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
}

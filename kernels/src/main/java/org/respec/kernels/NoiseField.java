package org.respec.kernels;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The noise that couples drafter and actor: a standard Gumbel variate for every (seed, request, position, token), computed from
 * Philox4x32-10 (Salmon et al., 2011) with counter (position, token / 4, request) and key seed; token x takes output word x % 4.
 *
 * <p>With u = (word + 1/2) / 2^32 the variate is -log(-log u). The logarithm is ours, a fixed sequence of correctly rounded 32-bit
 * operations, so that every device gives the same bits; near u = 1 it works on 1 - u, which the word gives exactly.
 */
public final class NoiseField {
    private static final int M0 = 0xD2511F53;
    private static final int M1 = 0xCD9E8D57;
    private static final int W0 = 0x9E3779B9;
    private static final int W1 = 0xBB67AE85;

    private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_256;
    private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_256;
    private static final float TWO_TO_MINUS_32 = 0x1p-32f;
    private static final float LN2 = 0.69314718f;
    private static final int MANTISSA = 0x7fffff;
    private static final int ONE = 0x3f800000;
    /** Mantissas over that of sqrt(2) are halved, so that the argument of the series lies around 1. */
    private static final int SQRT2_MANTISSA = 0x3504f3;
    /** Words from here on (u over 0.7071) take the path through 1 - u. */
    private static final int NEAR_ONE = 0xB504F334;

    // log(1 + t) = 2 s (1 + z/3 + z^2/5 + z^3/7 + z^4/9), s = t / (2 + t), z = s^2 <= 0.0295: truncated at a relative 2e-9.
    private static final float C9 = 1f / 9;
    private static final float C7 = 1f / 7;
    private static final float C5 = 1f / 5;
    private static final float C3 = 1f / 3;

    private NoiseField() {
    }

    /** The variate of one token. */
    public static float at(long seed, long request, int position, int token) {
        return at(seed, request, position, token, new int[4]);
    }

    /** The variate of one token, without allocation: {@code words} is scratch, at least 4. */
    public static float at(long seed, long request, int position, int token, int[] words) {
        philox(seed, request, position, token >>> 2, words, 0);
        return gumbel(words[token & 3]);
    }

    /**
     * The variates of tokens 0 to {@code vocab - 1}.
     *
     * @param words scratch, at least {@code vocab} rounded up to a multiple of 8
     * @param out variates, as large; what lies past {@code vocab} is overwritten too
     */
    public static void fill(long seed, long request, int position, int vocab, int[] words, float[] out) {
        int padded = (vocab + 7) & ~7;
        if (words.length < padded || out.length < padded) {
            throw new IllegalArgumentException("noise for " + vocab + " tokens needs arrays of " + padded);
        }
        for (int x = 0; x < padded; x += 4) {
            philox(seed, request, position, x >>> 2, words, x);
        }
        gumbels(words, padded, out);
    }

    /** 64 uniform bits for (seed, a, b), for shuffles and the like; a stream apart from the tokens' noise. */
    public static long bits(long seed, long a, long b) {
        int[] words = new int[4];
        // Positions are never negative, so this counter belongs to no token.
        philox(seed ^ b, a, -1, (int) (b >>> 32) ^ (int) b, words, 0);
        return ((long) words[0] << 32) | (words[1] & 0xffffffffL);
    }

    /** Ten rounds; writes four words at {@code at}. */
    static void philox(long seed, long request, int position, int block, int[] out, int at) {
        int c0 = position;
        int c1 = block;
        int c2 = (int) request;
        int c3 = (int) (request >>> 32);
        int k0 = (int) seed;
        int k1 = (int) (seed >>> 32);
        for (int round = 0; round < 10; round++) {
            long p0 = (M0 & 0xffffffffL) * (c0 & 0xffffffffL);
            long p1 = (M1 & 0xffffffffL) * (c2 & 0xffffffffL);
            c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
            c1 = (int) p1;
            c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
            c3 = (int) p0;
            k0 += W0;
            k1 += W1;
        }
        out[at] = c0;
        out[at + 1] = c1;
        out[at + 2] = c2;
        out[at + 3] = c3;
    }

    // ------------------------------------------------------------------------------------------------------------- scalar

    /** The variate of an output word. */
    public static float gumbel(int word) {
        return -log(exponential(word));
    }

    /** -log((word + 1/2) / 2^32). */
    private static float exponential(int word) {
        if (Integer.compareUnsigned(word, NEAR_ONE) >= 0) {
            return -log1p(-(half(~word) * TWO_TO_MINUS_32));
        }
        return -log(half(word) * TWO_TO_MINUS_32);
    }

    /** word + 1/2, the word taken as unsigned. */
    private static float half(int word) {
        return Math.fma((float) (word >>> 16), 65536f, (float) (word & 0xffff)) + 0.5f;
    }

    /** Natural logarithm of a positive normal float. */
    private static float log(float x) {
        int bits = Float.floatToRawIntBits(x);
        int exponent = (bits >>> 23) - 127;
        int mantissa = bits & MANTISSA;
        int over = mantissa > SQRT2_MANTISSA ? 1 : 0;
        float m = Float.intBitsToFloat(mantissa | (ONE - (over << 23)));
        return Math.fma((float) (exponent + over), LN2, log1p(m - 1f));
    }

    private static float log1p(float t) {
        float s = t / (2f + t);
        float z = s * s;
        float p = Math.fma(z, C9, C7);
        p = Math.fma(z, p, C5);
        p = Math.fma(z, p, C3);
        float twice = s + s;
        return Math.fma(twice * z, p, twice);
    }

    // ------------------------------------------------------------------------------------------------------------- vector

    /**
     * {@link #gumbel(int)} of all words. One long method on purpose: it is too large for the JIT to inline, so that it is compiled for
     * itself, with nothing left over to be boxed, however much its callers inline.
     */
    private static void gumbels(int[] words, int padded, float[] out) {
        FloatVector two = FloatVector.broadcast(FLOATS, 2f);
        FloatVector one = FloatVector.broadcast(FLOATS, 1f);
        FloatVector c9 = FloatVector.broadcast(FLOATS, C9);
        FloatVector c7 = FloatVector.broadcast(FLOATS, C7);
        FloatVector c5 = FloatVector.broadcast(FLOATS, C5);
        FloatVector c3 = FloatVector.broadcast(FLOATS, C3);
        FloatVector ln2 = FloatVector.broadcast(FLOATS, LN2);
        FloatVector shift16 = FloatVector.broadcast(FLOATS, 65536f);
        IntVector none = IntVector.zero(INTS);
        for (int x = 0; x < padded; x += 8) {
            IntVector word = IntVector.fromArray(INTS, words, x);
            VectorMask<Integer> near = word.compare(VectorOperators.UGE, NEAR_ONE);
            IntVector folded = word.blend(word.not(), near);
            FloatVector high = (FloatVector) folded.lanewise(VectorOperators.LSHR, 16).convertShape(VectorOperators.I2F, FLOATS, 0);
            FloatVector low = (FloatVector) folded.and(0xffff).convertShape(VectorOperators.I2F, FLOATS, 0);
            FloatVector u = high.fma(shift16, low).add(0.5f).mul(TWO_TO_MINUS_32);

            // exponential: -log(u), or -log1p(-u) next to 1
            IntVector bits = u.reinterpretAsInts();
            IntVector mantissa = bits.and(MANTISSA);
            IntVector over = none.blend(1, mantissa.compare(VectorOperators.GT, SQRT2_MANTISSA));
            IntVector exponent = bits.lanewise(VectorOperators.LSHR, 23).sub(127).add(over);
            IntVector scaled = mantissa.or(over.lanewise(VectorOperators.LSHL, 23).neg().add(ONE));
            FloatVector far = scaled.reinterpretAsFloats().sub(one);
            VectorMask<Float> nearLanes = near.cast(FLOATS);
            FloatVector t = far.blend(u.neg(), nearLanes);
            FloatVector s = t.div(two.add(t));
            FloatVector z = s.mul(s);
            FloatVector p = z.fma(c9, c7);
            p = z.fma(p, c5);
            p = z.fma(p, c3);
            FloatVector twice = s.add(s);
            FloatVector log1p = twice.mul(z).fma(p, twice);
            FloatVector e = (FloatVector) exponent.convertShape(VectorOperators.I2F, FLOATS, 0);
            FloatVector exponential = e.fma(ln2, log1p).blend(log1p, nearLanes).neg();

            // gumbel: -log(exponential)
            bits = exponential.reinterpretAsInts();
            mantissa = bits.and(MANTISSA);
            over = none.blend(1, mantissa.compare(VectorOperators.GT, SQRT2_MANTISSA));
            exponent = bits.lanewise(VectorOperators.LSHR, 23).sub(127).add(over);
            scaled = mantissa.or(over.lanewise(VectorOperators.LSHL, 23).neg().add(ONE));
            t = scaled.reinterpretAsFloats().sub(one);
            s = t.div(two.add(t));
            z = s.mul(s);
            p = z.fma(c9, c7);
            p = z.fma(p, c5);
            p = z.fma(p, c3);
            twice = s.add(s);
            log1p = twice.mul(z).fma(p, twice);
            e = (FloatVector) exponent.convertShape(VectorOperators.I2F, FLOATS, 0);
            e.fma(ln2, log1p).neg().intoArray(out, x);
        }
    }
}

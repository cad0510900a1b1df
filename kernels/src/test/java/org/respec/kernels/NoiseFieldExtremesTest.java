package org.respec.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The variates of words that chance does not bring within a test's reach: the ends, the seam of the two logarithms, powers of two. */
class NoiseFieldExtremesTest {
    private static final int M0 = 0xD2511F53;
    private static final int M1 = 0xCD9E8D57;
    private static final int M0_INVERSE = BigInteger.valueOf(M0 & 0xffffffffL).modInverse(BigInteger.TWO.pow(32)).intValue();
    private static final int M1_INVERSE = BigInteger.valueOf(M1 & 0xffffffffL).modInverse(BigInteger.TWO.pow(32)).intValue();
    private static final int BLOCKS = 1 << 17;
    private static final double TOLERANCE = 1e-6;

    /** Philox backwards, by its definition: turns output words into the counter that gives them. */
    private static void undo(long seed, int[] words) {
        for (int round = 9; round >= 0; round--) {
            int k0 = (int) seed + round * 0x9E3779B9;
            int k1 = (int) (seed >>> 32) + round * 0xBB67AE85;
            int c2 = words[1] * M1_INVERSE;
            int c0 = words[3] * M0_INVERSE;
            int high1 = (int) ((M1 & 0xffffffffL) * (c2 & 0xffffffffL) >>> 32);
            int high0 = (int) ((M0 & 0xffffffffL) * (c0 & 0xffffffffL) >>> 32);
            int c1 = words[0] ^ high1 ^ k0;
            words[3] = words[2] ^ high0 ^ k1;
            words[0] = c0;
            words[1] = c1;
            words[2] = c2;
        }
    }

    private static TreeSet<Integer> extremes() {
        TreeSet<Integer> words = new TreeSet<>();
        for (int near = -1; near <= 1; near++) {
            // u = 0.7071, where the path through 1 - u begins.
            words.add(0xB504F334 + near);
            for (int shift = 0; shift < 32; shift++) {
                words.add((1 << shift) + near);
            }
        }
        for (int shift = 0; shift < 32; shift++) {
            // That mantissa at smaller exponents, where it is halved; and ever nearer to u = 1.
            words.add(0xB504F334 >>> shift);
            words.add(~(1 << shift));
            words.add(~(0xB504F334 >>> shift));
        }
        return words;
    }

    /** Finds for every word a counter that gives it, and compares scalar, vector and double precision there. */
    @Test
    void extremeWordsAgreeInScalarVectorAndDouble() {
        long seed = 0x123456789abcdefL;
        SplittableRandom random = new SplittableRandom(11);
        int[] scratch = new int[4 * BLOCKS + 8];
        float[] out = new float[4 * BLOCKS + 8];
        int[] counter = new int[4];
        int[] forward = new int[4];
        double worst = 0;
        int lane = 0;
        for (int word : extremes()) {
            do {
                long low = random.nextLong();
                long high = random.nextLong();
                counter[0] = (int) low;
                counter[1] = (int) (low >>> 32);
                counter[2] = (int) high;
                counter[3] = (int) (high >>> 32);
                counter[lane] = word;
                undo(seed, counter);
            } while (counter[1] < 0 || counter[1] >= BLOCKS);
            long request = (counter[2] & 0xffffffffL) | (long) counter[3] << 32;
            int token = 4 * counter[1] + lane;
            String where = "word " + Integer.toHexString(word) + ", token " + token + ", seed 11";
            NoiseField.philox(seed, request, counter[0], counter[1], forward, 0);
            assertEquals(word, forward[lane], where);
            float scalar = NoiseField.at(seed, request, counter[0], token);
            NoiseField.fill(seed, request, counter[0], token + 1, scratch, out);
            assertEquals(Float.floatToRawIntBits(scalar), Float.floatToRawIntBits(out[token]), where);
            double u = (Integer.toUnsignedLong(word) + 0.5) * 0x1p-32;
            double want = -Math.log(-Math.log1p(u - 1));
            double error = Math.abs(scalar - want) / (1 + Math.abs(want));
            worst = Math.max(worst, error);
            assertTrue(error <= TOLERANCE, where + ": " + scalar + " for " + want);
            lane = (lane + 1) % 4;
        }
        System.out.printf(Locale.ROOT, "noise of extreme words: %.1f %% of tolerance used%n", 100 * worst / TOLERANCE);
    }

    /** Short vocabularies end in the middle of a vector. */
    @Test
    void everyLengthHasTheScalarsBits() {
        for (int vocab = 0; vocab <= 41; vocab++) {
            int[] words = new int[48];
            float[] out = new float[48];
            NoiseField.fill(-5, 1L << 62, Integer.MAX_VALUE, vocab, words, out);
            for (int x = 0; x < vocab; x++) {
                assertEquals(Float.floatToRawIntBits(NoiseField.at(-5, 1L << 62, Integer.MAX_VALUE, x)), Float.floatToRawIntBits(out[x]),
                    "token " + x + " of " + vocab);
            }
        }
        assertThrows(IllegalArgumentException.class, () -> NoiseField.fill(1, 2, 3, 9, new int[16], new float[15]));
        assertThrows(IllegalArgumentException.class, () -> NoiseField.fill(1, 2, 3, 9, new int[15], new float[16]));
    }

    /** Neighbours in any coordinate are not correlated: five standard errors, 1 / sqrt(n) of the variance each. */
    @Test
    void neighboursAreUncorrelated() {
        int n = 200_000;
        double[] sums = new double[4];
        for (int i = 0; i < n; i++) {
            double here = NoiseField.at(7, 1000, i, 40) - 0.5772156649;
            sums[0] += here * (NoiseField.at(8, 1000, i, 40) - 0.5772156649);
            sums[1] += here * (NoiseField.at(7, 1001, i, 40) - 0.5772156649);
            sums[2] += here * (NoiseField.at(7, 1000, i + 1, 40) - 0.5772156649);
            sums[3] += here * (NoiseField.at(7, 1000, i, 41) - 0.5772156649);
        }
        double bound = 5 / Math.sqrt(n);
        double worst = 0;
        for (int i = 0; i < 4; i++) {
            double correlation = sums[i] / n / (Math.PI * Math.PI / 6);
            worst = Math.max(worst, Math.abs(correlation));
            assertTrue(Math.abs(correlation) <= bound, "coordinate " + i + " has correlation " + correlation);
        }
        System.out.printf(Locale.ROOT, "correlation of neighbouring noise: %.1f %% of tolerance used%n", 100 * worst / bound);
    }
}

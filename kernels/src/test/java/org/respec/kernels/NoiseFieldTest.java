package org.respec.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Locale;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class NoiseFieldTest {
    private static int[] philox(long seed, long request, int position, int block) {
        int[] words = new int[4];
        NoiseField.philox(seed, request, position, block, words, 0);
        return words;
    }

    /** The known answers that Random123 publishes for philox4x32-10. */
    @Test
    void philoxGivesItsKnownAnswers() {
        assertArrayEquals(new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, philox(0, 0, 0, 0));
        assertArrayEquals(new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, philox(-1, -1, -1, -1));
        assertArrayEquals(new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
            philox(0x299f31d0a4093822L, 0x0370734413198a2eL, 0x243f6a88, 0x85a308d3));
    }

    @Test
    void vectorsHaveTheScalarsBits() {
        SplittableRandom random = new SplittableRandom(1);
        int vocab = 4099;
        int[] words = new int[4104];
        float[] out = new float[4104];
        for (int trial = 0; trial < 200; trial++) {
            long seed = random.nextLong();
            long request = random.nextLong();
            int position = random.nextInt() & Integer.MAX_VALUE;
            NoiseField.fill(seed, request, position, vocab, words, out);
            for (int x = 0; x < vocab; x++) {
                assertEquals(Float.floatToRawIntBits(NoiseField.at(seed, request, position, x)), Float.floatToRawIntBits(out[x]),
                    "seed " + seed + " request " + request + " position " + position + " token " + x);
            }
        }
    }

    /** Against double precision, over words from end to end: relative to the exponential, where the logarithm's argument is small. */
    @Test
    void variatesAgreeWithDoublePrecision() {
        SplittableRandom random = new SplittableRandom(2);
        double worst = 0;
        for (int i = 0; i < 2_000_000; i++) {
            int word = i < 1000 ? i : i < 2000 ? -(i - 999) : random.nextInt();
            double u = (Integer.toUnsignedLong(word) + 0.5) * 0x1p-32;
            double want = -Math.log(-Math.log1p(u - 1));
            double error = Math.abs(NoiseField.gumbel(word) - want) / (1 + Math.abs(want));
            worst = Math.max(worst, error);
            assertTrue(error < 1e-6, "word " + Integer.toHexString(word) + ": " + NoiseField.gumbel(word) + " for " + want);
        }
        System.out.printf(Locale.ROOT, "noise vs double: %.1f %% of tolerance used%n", 100 * worst / 1e-6);
    }

    @Test
    void momentsAreGumbels() {
        int vocab = 1 << 16;
        int[] words = new int[vocab];
        float[] out = new float[vocab];
        double sum = 0;
        double squares = 0;
        int rows = 64;
        for (int position = 0; position < rows; position++) {
            NoiseField.fill(3, 5, position, vocab, words, out);
            for (float v : out) {
                sum += v;
                squares += (double) v * v;
            }
        }
        double n = (double) rows * vocab;
        double mean = sum / n;
        // Four standard errors: sqrt(pi^2 / 6 / n), and for the variance sqrt((kurtosis - 1) / n) of itself, kurtosis 5.4.
        double variance = Math.PI * Math.PI / 6;
        assertEquals(0.5772156649, mean, 4 * Math.sqrt(variance / n));
        assertEquals(variance, squares / n - mean * mean, 4 * variance * Math.sqrt(4.4 / n));
    }

    @Test
    void everyCoordinateMatters() {
        float here = NoiseField.at(1, 2, 3, 4);
        assertNotEquals(here, NoiseField.at(9, 2, 3, 4));
        assertNotEquals(here, NoiseField.at(1, 9, 3, 4));
        assertNotEquals(here, NoiseField.at(1, 2 + (1L << 40), 3, 4));
        assertNotEquals(here, NoiseField.at(1, 2, 9, 4));
        assertNotEquals(here, NoiseField.at(1, 2, 3, 9));
        assertEquals(here, NoiseField.at(1, 2, 3, 4));
        assertNotEquals(NoiseField.bits(1, 2, 3), NoiseField.bits(1, 3, 2));
    }
}

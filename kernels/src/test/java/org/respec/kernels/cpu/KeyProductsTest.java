package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.Tensor;

class KeyProductsTest {
    private static final float UNTOUCHED = 7777f;
    private static final int SHIFT = 3;

    /** Keys in blocks have the bits of keys one by one, and nothing is written behind the block after the last. */
    @ParameterizedTest
    @ValueSource(ints = {32, 64, 96, 40, 34, 5})
    void scoresAreDotProducts(int dim) {
        try (TestTensors t = new TestTensors(300 + dim)) {
            Tensor rows = t.normal(42, SHIFT + dim);
            for (int count : new int[] {1, 7, 8, 9, 16, 17, 41}) {
                long[] keys = addresses(rows, count);
                long query = rows.rows(41, 42).address();
                float[] scores = new float[64];
                Arrays.fill(scores, UNTOUCHED);
                float most = KeyProducts.scores(query, keys, 4 * SHIFT, dim, count, 0.3f, -5f, scores);
                int end = Math.ceilDiv(count, KeyProducts.KEYS) * KeyProducts.KEYS + KeyProducts.KEYS;
                float want = Float.NEGATIVE_INFINITY;
                for (int i = 0; i < scores.length; i++) {
                    float score = i < count ? Simd.dot(query, keys[i] + 4 * SHIFT, dim) * 0.3f : i < end ? -5f : UNTOUCHED;
                    assertEquals(Float.floatToRawIntBits(score), Float.floatToRawIntBits(scores[i]), "key " + i + " of " + count);
                    want = i < count ? Math.max(want, score) : want;
                }
                assertEquals(want, most, "greatest of " + count);
            }
            t.checkGuards();
        }
    }

    /** What is no number stays none, and does not hide the others' greatest. */
    @Test
    void scoresOfNoNumbers() {
        int dim = 32;
        try (TestTensors t = new TestTensors(299)) {
            Tensor rows = t.normal(42, SHIFT + dim);
            long[] keys = addresses(rows, 12);
            Simd.put(keys[5] + 4 * SHIFT, Float.NaN);
            float[] scores = new float[32];
            float most = KeyProducts.scores(rows.rows(41, 42).address(), keys, 4 * SHIFT, dim, 12, 1f, 0f, scores);
            float want = Float.NEGATIVE_INFINITY;
            for (int i = 0; i < 12; i++) {
                want = i == 5 ? want : Math.max(want, scores[i]);
            }
            assertTrue(Float.isNaN(scores[5]));
            assertEquals(want, most);
        }
    }

    private static long[] addresses(Tensor rows, int count) {
        long[] keys = new long[count + KeyProducts.KEYS];
        for (int i = 0; i < keys.length; i++) {
            int row = Math.min(i, count - 1);
            keys[i] = rows.rows(row, row + 1).address();
        }
        return keys;
    }
}

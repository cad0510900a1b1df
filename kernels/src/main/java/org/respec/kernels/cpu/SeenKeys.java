package org.respec.kernels.cpu;

import java.util.Arrays;

/** Addresses of the keys that a row sees, in logical order, and the row's weights of them. Of one thread; grows to the longest list. */
final class SeenKeys {
    /** Of {@link #count} keys of head 0; some entries behind them are written over. */
    long[] keys = new long[256];
    /** What {@link #weigh} has made of the keys. */
    float[] scores = new float[256 + FastMath.BLOCK];
    int count;
    /** What was read only to be fetched: what is used nowhere the JIT would not read. */
    int touched;

    /** Begins a list of up to {@code room} keys. */
    void clear(int room) {
        count = 0;
        if (keys.length < room + KeyProducts.KEYS) {
            int size = Math.max(room + KeyProducts.KEYS, 2 * keys.length);
            keys = new long[size];
            scores = new float[size + FastMath.BLOCK];
        }
    }

    void add(long key) {
        keys[count++] = key;
    }

    /** Softmax of the scaled scores of one query over the keys: fills {@link #scores}, unnormalised; returns their sum. */
    float weigh(long query, long headShift, int dim, float scale) {
        // A whole block of them is scored.
        Arrays.fill(keys, count, Math.ceilDiv(count, KeyProducts.KEYS) * KeyProducts.KEYS, keys[count - 1]);
        float max = KeyProducts.scores(query, keys, headShift, dim, count, scale, scores);
        int padded = FastMath.padded(count);
        Arrays.fill(scores, count, padded, Float.NEGATIVE_INFINITY);
        return FastMath.expAndSum(scores, padded, max, scores);
    }

    /** Attention of one query: the values, {@code values} bytes behind their keys, mixed by the softmax of the scores. */
    void attend(long query, long headShift, long values, int dim, float scale, long target) {
        float inverse = 1f / weigh(query, headShift, dim, scale);
        // An odd key out is paired with itself at weight 0.
        scores[count] = 0f;
        keys[count] = keys[count - 1];
        KeyProducts.mix(scores, keys, headShift + values, dim, count, inverse, target);
    }
}

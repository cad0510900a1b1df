package org.respec.kernels.cpu;

/** Addresses of the keys that a row sees, in logical order, and the row's weights of them. Of one thread; grows to the longest list. */
final class SeenKeys {
    /** Of {@link #count} keys of head 0; some entries behind them are written over. */
    long[] keys = new long[256];
    /** What {@link #weigh} has made of the keys. */
    float[] scores = new float[256 + FastMath.BLOCK];
    int count;

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

    /** Ends the list: a whole block of keys is scored, and an odd one out is paired with one at weight 0. */
    void end() {
        long last = keys[count - 1];
        for (int i = count; i < count + KeyProducts.KEYS; i++) {
            keys[i] = last;
        }
    }

    /** Softmax of the scaled scores of one query over the keys: fills {@link #scores}, unnormalised, and 0 behind; returns their sum. */
    float weigh(long query, long headShift, int dim, float scale) {
        float max = KeyProducts.scores(query, keys, headShift, dim, count, scale, Float.NEGATIVE_INFINITY, scores);
        return FastMath.expAndSum(scores, FastMath.padded(count), max, scores);
    }

    /** Attention of one query: the values, {@code values} bytes behind their keys, mixed by the softmax of the scores. */
    void attend(long query, long headShift, long values, int dim, float scale, long target) {
        float inverse = 1f / weigh(query, headShift, dim, scale);
        KeyProducts.mix(scores, keys, headShift + values, dim, count, inverse, target);
    }
}

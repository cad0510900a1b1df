package org.respec.engine.sampling;

import java.util.SplittableRandom;

/** A made-up autoregressive model: a distribution for every prefix, a function of seed and prefix alone. */
record PrefixModel(long seed, int vocab, double spread) {
    /** Logits after {@code prefix[0 .. length)}. */
    float[] logits(int[] prefix, int length) {
        long hash = seed;
        for (int i = 0; i < length; i++) {
            hash = hash * 0x9E3779B97F4A7C15L + prefix[i] + 1;
        }
        SplittableRandom random = new SplittableRandom(hash ^ length);
        float[] logits = new float[vocab];
        for (int x = 0; x < vocab; x++) {
            logits[x] = (float) (spread * (2 * random.nextDouble() - 1));
        }
        return logits;
    }

    double[] distribution(int[] prefix, int length) {
        return Distributions.softmax(logits(prefix, length), 0, vocab, 1);
    }
}

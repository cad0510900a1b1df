package org.respec.engine.rollout;

/**
 * Chances of the next token from what followed the last tokens before: counts of contexts of several lengths, in responses to the same
 * prompt and in all responses, blended from the most specific one down (Witten and Bell, 1991: a context hands down a share of the mass
 * that grows with the number of different tokens seen after it).
 */
final class NgramPredictor implements AutoCloseable {
    /** Longest context in tokens. */
    static final int LONGEST = 8;
    /** Mass that is not worth a look at shorter contexts. */
    private static final double ENOUGH = 1e-3;
    private static final long MULTIPLIER = 0x9E3779B97F4A7C15L;

    private final NgramIndex index;
    private final long[] keys = new long[LONGEST + 1];
    private final int[] tokens = new int[2 * LONGEST * NgramIndex.TOKENS];
    private final double[] chances = new double[2 * LONGEST * NgramIndex.TOKENS];
    private int size;
    private double unseen;

    NgramPredictor(long bytes) {
        index = new NgramIndex(bytes);
    }

    /** What contexts of responses to one prompt have in common. */
    static long scope(int[] prompt) {
        long hash = prompt.length;
        for (int token : prompt) {
            hash = mix(hash, token);
        }
        return hash;
    }

    /** Counts tokens {@code from} to {@code to - 1} of a sequence, each with the tokens before it. */
    void learn(int[] sequence, int from, int to, long scope) {
        for (int t = from; t < to; t++) {
            long key = 0;
            for (int length = 1; length <= Math.min(LONGEST, t); length++) {
                key = mix(key, sequence[t - length]);
                index.add(key, sequence[t]);
                index.add(key ^ scope, sequence[t]);
            }
        }
    }

    /**
     * Finds the tokens that followed a context before; {@link #token} and {@link #chance} tell them.
     *
     * @param recent the last tokens, the newest first
     * @param length how many there are; those past {@link #LONGEST} do not count
     * @return tokens found
     */
    int predict(int[] recent, int length, long scope) {
        int longest = Math.min(LONGEST, length);
        keys[0] = 0;
        for (int i = 0; i < longest; i++) {
            keys[i + 1] = mix(keys[i], recent[i]);
        }
        size = 0;
        unseen = 1;
        for (int i = longest; i > 0 && unseen > ENOUGH; i--) {
            blend(index.find(keys[i] ^ scope));
            blend(index.find(keys[i]));
        }
        return size;
    }

    /** Gives a context's tokens their share of what more specific ones have left over. */
    private void blend(long entry) {
        if (entry < 0) {
            return;
        }
        int different = 0;
        while (different < NgramIndex.TOKENS && index.count(entry, different) > 0) {
            different++;
        }
        double share = unseen / (index.total(entry) + different);
        for (int i = 0; i < different; i++) {
            give(index.token(entry, i), share * index.count(entry, i));
        }
        unseen = share * different;
    }

    private void give(int token, double chance) {
        for (int i = 0; i < size; i++) {
            if (tokens[i] == token) {
                chances[i] += chance;
                return;
            }
        }
        tokens[size] = token;
        chances[size++] = chance;
    }

    int token(int i) {
        return tokens[i];
    }

    /** Chance of the {@code i}-th token found; together with {@link #unseen} they sum up to 1. */
    double chance(int i) {
        return chances[i];
    }

    /** Chance of all other tokens together. */
    double unseen() {
        return unseen;
    }

    private static long mix(long hash, int token) {
        // The finisher of SplittableRandom.
        long z = (hash ^ (token + 1L)) * MULTIPLIER + MULTIPLIER;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    @Override
    public void close() {
        index.close();
    }
}

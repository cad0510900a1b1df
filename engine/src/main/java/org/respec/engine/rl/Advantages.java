package org.respec.engine.rl;

/** Group-relative advantages (GRPO; Shao et al., 2024). */
public final class Advantages {
    /** Keeps groups with nearly equal rewards from being blown up. */
    private static final double EPS = 1e-4;

    private Advantages() {
    }

    /**
     * {@code (r - mean) / (std + 1e-4)} within each group of {@code groupSize} neighbours, or {@code r - mean}.
     *
     * @param rewards in request order; a multiple of {@code groupSize}
     */
    public static float[] of(double[] rewards, int groupSize, boolean normalise) {
        if (groupSize < 1 || rewards.length % groupSize != 0) {
            throw new IllegalArgumentException(rewards.length + " rewards in groups of " + groupSize);
        }
        float[] advantages = new float[rewards.length];
        for (int from = 0; from < rewards.length; from += groupSize) {
            double mean = 0;
            for (int i = 0; i < groupSize; i++) {
                mean += rewards[from + i];
            }
            mean /= groupSize;
            double variance = 0;
            for (int i = 0; i < groupSize; i++) {
                variance += (rewards[from + i] - mean) * (rewards[from + i] - mean);
            }
            double scale = normalise ? 1 / (Math.sqrt(variance / groupSize) + EPS) : 1;
            for (int i = 0; i < groupSize; i++) {
                advantages[from + i] = (float) ((rewards[from + i] - mean) * scale);
            }
        }
        return advantages;
    }
}

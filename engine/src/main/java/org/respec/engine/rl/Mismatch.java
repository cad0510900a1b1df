package org.respec.engine.rl;

/**
 * How far log-probabilities of the same tokens in training and in the rollout lie apart, with the same weights.
 *
 * @param mean mean absolute difference
 * @param kl estimate of KL(rollout || training) per token: the mean of exp(d) - d - 1, d = training - rollout (Schulman's k3)
 * @param max largest absolute difference
 */
public record Mismatch(double mean, double kl, double max) {
    /** Sums over tokens. */
    static final class Sums {
        private double absolute;
        private double divergence;
        private double largest;
        private long tokens;

        void add(float training, float rollout) {
            double d = (double) training - rollout;
            absolute += Math.abs(d);
            divergence += Math.expm1(d) - d;
            largest = Math.max(largest, Math.abs(d));
            tokens++;
        }

        /** Null where no token was compared. */
        Mismatch result() {
            return tokens == 0 ? null : new Mismatch(absolute / tokens, divergence / tokens, largest);
        }
    }
}

package org.respec.engine.distill;

/**
 * How much each trajectory counts in the drafter's learning. ReSpec weights by reward, {@code w(r) > 0}, "normalised and clipped",
 * without saying how (section 5.3.1). Here: {@code clip(r / mean of the group, floor, cap)}, and 1 throughout a group whose rewards
 * are all zero.
 *
 * @param byReward false for weight 1 everywhere
 * @param floor least weight, over 0, so that failed trajectories still teach the drafter what the actor does
 * @param cap largest weight
 */
public record RewardWeights(boolean byReward, float floor, float cap) {
    public RewardWeights {
        if (!(floor > 0) || !(cap >= floor)) {
            throw new IllegalArgumentException("weight floor " + floor + " must be over 0 and cap " + cap + " at least as large");
        }
    }

    /** Weights of trajectories in groups of {@code groupSize} neighbours. */
    public float[] of(double[] rewards, int groupSize) {
        if (groupSize < 1 || rewards.length % groupSize != 0) {
            throw new IllegalArgumentException(rewards.length + " rewards in groups of " + groupSize);
        }
        float[] weights = new float[rewards.length];
        for (int from = 0; from < rewards.length; from += groupSize) {
            double mean = 0;
            for (int i = 0; i < groupSize; i++) {
                mean += rewards[from + i] / groupSize;
            }
            for (int i = from; i < from + groupSize; i++) {
                weights[i] = byReward && mean > 0 ? (float) Math.clamp(rewards[i] / mean, floor, cap) : 1f;
            }
        }
        return weights;
    }
}

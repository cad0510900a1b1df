package org.respec.engine.simulate;

/**
 * How a simulation runs.
 *
 * @param maxBatch most live requests of a worker
 * @param workers engines that run side by side, each with a policy of its own
 * @param rollout requests of a rollout, all of which end before the next rollout begins; 0 for all in one
 * @param maxRows most rows of a verify pass, which the solver and hindsight keep to; a plan that is kept to has passes as wide as it needs,
 *     as in the engine
 * @param margin the plan solver's switching margin
 * @param noise standard deviation of the logarithm of what a step takes over what it should
 * @param seed of noise and acceptance
 */
public record SimulationSettings(int maxBatch, int workers, int rollout, int maxRows, double margin, double noise, long seed) {
    public SimulationSettings {
        if (maxBatch < 1 || workers < 1 || rollout < 0 || maxRows < 1 || !(margin >= 0) || !(noise >= 0)) {
            throw new IllegalArgumentException("a simulation of " + workers + " workers of " + maxBatch + " requests");
        }
    }
}

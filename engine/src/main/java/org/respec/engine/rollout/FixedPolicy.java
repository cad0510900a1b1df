package org.respec.engine.rollout;

import org.respec.engine.speculation.SpeculationPlan;

/** The same plan at every step, off included. */
public record FixedPolicy(SpeculationPlan plan) implements PlanPolicy {
    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        return plan;
    }

    @Override
    public int rowsEach() {
        return plan.tokens() + 1;
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        // A fixed plan learns nothing.
    }

    @Override
    public void observeRank(int request, int depth, int rank, int named) {
        // A fixed plan learns nothing.
    }
}

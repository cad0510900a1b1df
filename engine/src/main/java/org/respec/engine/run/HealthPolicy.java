package org.respec.engine.run;

import org.respec.engine.distill.DrafterHealth;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.SpeculationPlan;

/** Another policy, as long as there is something healthy to draft from; reports every speculating step to {@link DrafterHealth}. */
record HealthPolicy(PlanPolicy policy, DrafterHealth health) implements PlanPolicy {
    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        return health.drafts() ? policy.choose(batch, missedRows, remainingTokens) : SpeculationPlan.OFF;
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        policy.observeStep(plan, batch, rows, tokens, draftNanos, verifyNanos);
        if (!plan.isOff()) {
            health.observe(batch, tokens);
        }
    }

    @Override
    public void observeRank(int request, int depth, int rank, int named) {
        policy.observeRank(request, depth, rank, named);
    }

    @Override
    public void attach(LiveBatch batch) {
        policy.attach(batch);
    }

    @Override
    public double costError() {
        return policy.costError();
    }

    @Override
    public double tokensError() {
        return policy.tokensError();
    }

    @Override
    public double takeUtilization() {
        return policy.takeUtilization();
    }

    @Override
    public void close() {
        policy.close();
    }
}

package org.respec.engine.rollout;

import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.SpeculationPlan;

/** Another policy, which is told and asked everything: for those that watch it or overrule it at one place. */
public abstract class ForwardingPolicy implements PlanPolicy {
    private final PlanPolicy policy;

    protected ForwardingPolicy(PlanPolicy policy) {
        this.policy = policy;
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        return policy.choose(batch, missedRows, remainingTokens);
    }

    @Override
    public int rowsEach() {
        return policy.rowsEach();
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        policy.observeStep(plan, batch, rows, tokens, draftNanos, verifyNanos);
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

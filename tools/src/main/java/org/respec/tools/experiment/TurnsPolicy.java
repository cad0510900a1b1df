package org.respec.tools.experiment;

import java.util.List;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.SpeculationPlan;

/** Several policies of one engine, each for whole rollouts: only what they choose differs, and not where an engine's memory lies. */
final class TurnsPolicy implements PlanPolicy {
    private final List<PlanPolicy> policies;
    private PlanPolicy now;

    TurnsPolicy(List<PlanPolicy> policies) {
        this.policies = List.copyOf(policies);
        this.now = policies.getFirst();
    }

    /** Has policy number {@code index} choose and hear of the steps from now on; between two rollouts. */
    void turnTo(int index) {
        now = policies.get(index);
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        return now.choose(batch, missedRows, remainingTokens);
    }

    @Override
    public int rowsEach() {
        return policies.stream().mapToInt(PlanPolicy::rowsEach).max().orElseThrow();
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        now.observeStep(plan, batch, rows, tokens, draftNanos, verifyNanos);
    }

    @Override
    public void observeRank(int request, int depth, int rank, int named) {
        now.observeRank(request, depth, rank, named);
    }

    @Override
    public void attach(LiveBatch batch) {
        policies.forEach(policy -> policy.attach(batch));
    }

    @Override
    public double costError() {
        return now.costError();
    }

    @Override
    public double tokensError() {
        return now.tokensError();
    }

    @Override
    public double takeUtilization() {
        return now.takeUtilization();
    }

    @Override
    public void close() {
        policies.forEach(PlanPolicy::close);
    }
}

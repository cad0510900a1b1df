package org.respec.engine.rollout;

import org.respec.engine.speculation.AcceptanceTracker;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;

/** Takes, at every step, the plan with the highest expected tokens per second for the live batch. */
public final class AdaptivePolicy implements PlanPolicy {
    private final PlanSolver solver;
    private final AcceptanceTracker acceptance;
    private int missed;

    public AdaptivePolicy(PlanSolver solver, AcceptanceTracker acceptance) {
        this.solver = solver;
        this.acceptance = acceptance;
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows) {
        missed = missedRows;
        return solver.choose(batch, missedRows);
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        solver.observe(plan, batch, missed, tokens, draftNanos * 1e-9, verifyNanos * 1e-9);
    }

    @Override
    public void observeRank(int depth, int rank, int named) {
        acceptance.observe(depth, rank, named);
    }
}

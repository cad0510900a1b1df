package org.respec.engine.rollout;

import org.respec.engine.speculation.AcceptanceTracker;
import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.speculation.UtilizationProbe;

/** Takes, at every step, the plan with the highest expected tokens per second for the live batch. */
public final class AdaptivePolicy implements PlanPolicy {
    private final PlanSolver solver;
    private final AcceptanceTracker acceptance;
    private final UtilizationProbe probe;
    private int missed;
    /** Since {@link #takeUtilization}: time of steps in which what others use was known, and that times their share. */
    private long watchedNanos;
    private double usedNanos;

    /** On a device that nobody else uses; {@code acceptance} is what the solver asks, and is told which choices were right. */
    public AdaptivePolicy(PlanSolver solver, AcceptanceTracker acceptance) {
        this(solver, acceptance, null);
    }

    /** With the probe that the solver asks what others use of the device, or null for none; it is told of each step, and closed. */
    public AdaptivePolicy(PlanSolver solver, AcceptanceTracker acceptance, UtilizationProbe probe) {
        this.solver = solver;
        this.acceptance = acceptance;
        this.probe = probe;
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        missed = missedRows;
        return solver.choose(batch, missedRows, remainingTokens);
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        solver.observe(plan, batch, missed, tokens, draftNanos * 1e-9, verifyNanos * 1e-9);
        if (probe != null) {
            long nanos = draftNanos + verifyNanos;
            probe.decoded(plan, batch, nanos);
            double share = probe.share();
            if (!Double.isNaN(share)) {
                usedNanos += share * nanos;
                watchedNanos += nanos;
            }
        }
    }

    @Override
    public void observeRank(int request, int depth, int rank, int named) {
        acceptance.observe(request, depth, rank, named);
    }

    @Override
    public void attach(LiveBatch batch) {
        acceptance.attach(batch);
        solver.attach(batch);
    }

    @Override
    public double costError() {
        return solver.costError();
    }

    @Override
    public double tokensError() {
        return solver.tokensError();
    }

    @Override
    public double takeUtilization() {
        double mean = watchedNanos == 0 ? Double.NaN : usedNanos / watchedNanos;
        watchedNanos = 0;
        usedNanos = 0;
        return mean;
    }

    @Override
    public void close() {
        if (probe != null) {
            probe.close();
        }
    }
}

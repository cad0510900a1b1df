package org.respec.engine.rollout;

import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Ops;

/**
 * A policy on weights that mean nothing: acceptance is set, and not drawn (see {@link ImposedAcceptance}), and the policy is told what was
 * set. So a policy can be watched on a model of any size that was never trained. An engine is to compute through {@link #ops}.
 */
public final class SetAcceptance extends ForwardingPolicy {
    private final ImposedAcceptance acceptance;
    private final StepProbe probe;

    /** @param profile share of trees whose level d is accepted after level d - 1 was; the last holds for deeper levels */
    public SetAcceptance(Ops ops, PlanPolicy policy, double... profile) {
        super(policy);
        this.acceptance = new ImposedAcceptance(profile);
        this.probe = new StepProbe(ops, false, acceptance);
    }

    /** Operators with that acceptance. */
    public Ops ops() {
        return probe.ops();
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        SpeculationPlan plan = super.choose(batch, missedRows, remainingTokens);
        probe.beginStep(plan, batch);
        return plan;
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        probe.endStep();
        for (int r = 0; r < batch && !plan.isOff(); r++) {
            int accepted = acceptance.accepted(r);
            for (int depth = 1; depth <= Math.min(acceptance.levels(r), accepted + 1); depth++) {
                // A path is one of first choices: what a level has beside them is never taken.
                super.observeRank(r, depth, depth <= accepted ? 0 : -1, plan.branch());
            }
        }
        super.observeStep(plan, batch, rows, tokens, draftNanos, verifyNanos);
    }

    @Override
    public void observeRank(int request, int depth, int rank, int named) {
        // What the weights draw is not what was set.
    }
}

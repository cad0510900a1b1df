package org.respec.engine.run;

import org.respec.engine.distill.DrafterHealth;
import org.respec.engine.rollout.ForwardingPolicy;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.SpeculationPlan;

/** Another policy, as long as there is something healthy to draft from; reports every speculating step to {@link DrafterHealth}. */
final class HealthPolicy extends ForwardingPolicy {
    private final DrafterHealth health;

    HealthPolicy(PlanPolicy policy, DrafterHealth health) {
        super(policy);
        this.health = health;
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        return health.drafts() ? super.choose(batch, missedRows, remainingTokens) : SpeculationPlan.OFF;
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
        super.observeStep(plan, batch, rows, tokens, draftNanos, verifyNanos);
        if (!plan.isOff()) {
            health.observe(batch, tokens);
        }
    }
}

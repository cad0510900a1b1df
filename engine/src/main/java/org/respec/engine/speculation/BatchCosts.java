package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.List;

/** Seconds of all plans' passes over one batch, each asked for once: interpolating for hundreds of plans takes tens of microseconds. */
final class BatchCosts {
    private final List<SpeculationPlan> plans;
    private final PlanCosts costs;
    private int batch = -1;
    private final double[] verify;
    /** Seconds of drafting if the drafter is first extended over so many rows; 0 rows where they are not known. */
    private final double[] draft;
    private final int[] rows;

    BatchCosts(List<SpeculationPlan> plans, PlanCosts costs) {
        this.plans = plans;
        this.costs = costs;
        verify = new double[plans.size()];
        draft = new double[plans.size()];
        rows = new int[plans.size()];
    }

    /** As {@link PlanCosts#verifySeconds}. */
    double verify(int batch, int plan) {
        turnTo(batch);
        if (Double.isNaN(verify[plan])) {
            verify[plan] = costs.verifySeconds(batch, plans.get(plan));
        }
        return verify[plan];
    }

    /** As {@link PlanCosts#draftSeconds}. */
    double draft(int batch, int plan, int extended) {
        turnTo(batch);
        if (rows[plan] != extended) {
            draft[plan] = costs.draftSeconds(batch, plans.get(plan), extended);
            rows[plan] = extended;
        }
        return draft[plan];
    }

    private void turnTo(int batch) {
        if (batch != this.batch) {
            this.batch = batch;
            Arrays.fill(verify, Double.NaN);
            Arrays.fill(rows, 0);
        }
    }
}

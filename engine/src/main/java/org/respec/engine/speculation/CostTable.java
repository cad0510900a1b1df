package org.respec.engine.speculation;

import java.util.Map;

/** A profile with seconds of drafting and verification apart, each interpolated by batch: see {@link BatchCurve}. */
final class CostTable extends PlanTable {
    /** Milliseconds of a plan's two halves. */
    record Halves(BatchCurve draft, BatchCurve verify) {
    }

    private static final double SECONDS = 1e-3;

    private final Map<SpeculationPlan, Halves> costs;
    private final ExpectedTokens expected;

    CostTable(Map<SpeculationPlan, Halves> costs, Acceptance acceptance, double extendSeconds) {
        super(costs.keySet(), acceptance, extendSeconds);
        this.costs = Map.copyOf(costs);
        this.expected = new ExpectedTokens().refresh(acceptance);
    }

    @Override
    double score(int batch, SpeculationPlan plan, double utilization) {
        Halves halves = costs.get(plan);
        double off = costs.get(SpeculationPlan.OFF).verify.at(batch);
        double step = halves.verify.at(batch) + halves.draft.at(batch);
        // In milliseconds throughout, so that whole numbers in a profile stay exact.
        return 1000 * batch * expected.of(plan) / SharedDevice.seconds(off, step, plan.tokens(), utilization);
    }

    @Override
    public double verifySeconds(int batch, SpeculationPlan plan) {
        return SECONDS * costs.get(plan).verify.at(batch);
    }

    @Override
    public double draftSeconds(int batch, SpeculationPlan plan, int rows) {
        return SECONDS * costs.get(plan).draft.at(batch);
    }
}

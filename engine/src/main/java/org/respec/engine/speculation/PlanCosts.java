package org.respec.engine.speculation;

/** Seconds that the parts of a decode step take, for the whole batch. Known by plan, from wherever: measured here, or read from a file. */
public interface PlanCosts {
    /** Seconds of the verify pass of {@code plan} over {@code batch} requests: {@code tokens + 1} rows each, one where the plan is off. */
    double verifySeconds(int batch, SpeculationPlan plan);

    /**
     * Seconds of drafting for {@code plan}, which is not off, in the steady state.
     *
     * @param rows tokens that the requests gained in the step before, which the drafter is first extended over
     */
    double draftSeconds(int batch, SpeculationPlan plan, int rows);

    /** Seconds that extending the drafter over {@code rows} tokens takes, which it missed while the plan was off; 0 if not known. */
    double extendSeconds(int batch, int rows);
}

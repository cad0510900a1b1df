package org.respec.engine.speculation;

import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What plans cost and gain by batch, as a profile file says: see {@link ProfileFile}. */
public abstract sealed class PlanTable implements PlanCosts permits CostTable, SpeedTable {
    /** Scores that differ by no more than rounding are equal. */
    private static final double EQUAL = 1e-12;
    private static final Comparator<SpeculationPlan> CHEAPEST_FIRST = Comparator.comparingInt(SpeculationPlan::tokens)
        .thenComparingInt(SpeculationPlan::depth).thenComparingInt(SpeculationPlan::branch);

    private final List<SpeculationPlan> plans;
    private final Acceptance acceptance;
    private final double extendSeconds;

    /**
     * @param plans off among them
     * @param acceptance what the costs' gains are reckoned with, or null if the profile does not say
     * @param extendSeconds what extending the drafter over a missed token takes
     */
    PlanTable(Collection<SpeculationPlan> plans, Acceptance acceptance, double extendSeconds) {
        this.plans = plans.stream().sorted(CHEAPEST_FIRST).toList();
        this.acceptance = acceptance;
        this.extendSeconds = extendSeconds;
    }

    /** The plans that the profile has, off first, then by tokens, depth and branch. */
    public List<SpeculationPlan> plans() {
        return plans;
    }

    /** Chances of acceptance that the profile was made with, or null if it does not say. */
    public Acceptance acceptance() {
        return acceptance;
    }

    /**
     * Expected tokens per second of all live requests together.
     *
     * @param utilization share of the device that others use, 0 to 1: see {@link SharedDevice}
     */
    abstract double score(int batch, SpeculationPlan plan, double utilization);

    /** Every plan's expected tokens per second, in the order of {@link #plans}. */
    public Map<SpeculationPlan, Double> scores(int batch, double utilization) {
        Map<SpeculationPlan, Double> scores = new LinkedHashMap<>();
        for (SpeculationPlan plan : plans) {
            scores.put(plan, score(batch, plan, utilization));
        }
        return scores;
    }

    /** The plan of the highest score, of equal ones off or the one of fewest tokens: a fresh decision, without a present plan's margin. */
    public SpeculationPlan best(int batch, double utilization) {
        SpeculationPlan best = plans.getFirst();
        double bestScore = score(batch, best, utilization);
        for (SpeculationPlan plan : plans) {
            double score = score(batch, plan, utilization);
            if (score > bestScore * (1 + EQUAL)) {
                best = plan;
                bestScore = score;
            }
        }
        return best;
    }

    @Override
    public double extendSeconds(int batch, int rows) {
        return rows * extendSeconds;
    }
}

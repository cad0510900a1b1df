package org.respec.engine.speculation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.respec.kernels.TreeBatch;

/**
 * Picks the plan with the highest expected tokens per second for the live batch: {@code batch * E[tokens] / seconds}, off included.
 * Leaves the present plan only for one that is better by a margin.
 */
public final class PlanSolver {
    private static final double GAIN_DECAY = 0.97;
    /** Steps over which the price of extending the drafter over missed tokens is spread. */
    private static final int SWITCH_STEPS = 16;
    /** Steps between recomputations of expected tokens, which move slowly. */
    private static final int REFRESH = 64;
    /** Steps for which a decision holds while the batch is the same: scoring all plans takes 5 us. */
    private static final int HOLD = 8;
    /** Steps after which what was not taken is tried again, if its score is at least such a share of the best: a try of off is cheap. */
    private static final int PROBE_EVERY = 500;
    private static final double PROBE_OFF_SHARE = 0.25;
    private static final double PROBE_ON_SHARE = 0.7;

    private final List<SpeculationPlan> plans;
    private final AcceptanceTracker acceptance;
    private final PlanCosts costs;
    private final double margin;
    private final int maxRows;
    private final ExpectedTokens expectation = new ExpectedTokens();
    private final double[] expected;
    private long refreshed = -1;
    private int age;
    private int current;
    /** Plan that is tried instead of the present one, or -1. */
    private int probe = -1;
    /** By size of the batch: steps since off, or any plan, was last taken; at first each is soon due. */
    private final int[] sinceOff = new int[StepCorrections.SIZES];
    private final int[] sinceOn = new int[StepCorrections.SIZES];
    private int decidedBatch = -1;
    private int held;
    private final StepCorrections verifyCorrections = new StepCorrections(TreeBatch.MAX_NODES);
    private final StepCorrections draftCorrections = new StepCorrections(TreeBatch.MAX_BRANCH);
    /** Tokens gained by each plan over those expected: real trees follow the drafter's scores and do better than the best fixed one. */
    private final double[] gains;

    /**
     * @param plans candidates; off is added if it is missing
     * @param margin how much better, as a share, another plan must be to replace the present one
     * @param maxRows most rows of one verify pass
     */
    public PlanSolver(List<SpeculationPlan> plans, AcceptanceTracker acceptance, PlanCosts costs, double margin, int maxRows) {
        List<SpeculationPlan> all = new ArrayList<>();
        all.add(SpeculationPlan.OFF);
        plans.stream().filter(p -> !p.isOff()).forEach(all::add);
        this.plans = List.copyOf(all);
        this.acceptance = acceptance;
        this.costs = costs;
        this.margin = margin;
        this.maxRows = maxRows;
        this.expected = new double[all.size()];
        this.gains = new double[all.size()];
        Arrays.fill(gains, 1);
        Arrays.fill(sinceOff, PROBE_EVERY - 2 * HOLD);
        Arrays.fill(sinceOn, PROBE_EVERY - 2 * HOLD);
    }

    /** Sensible plans within limits. */
    public static List<SpeculationPlan> candidates(int maxDepth, int maxBranch, int maxTokens) {
        List<SpeculationPlan> plans = new ArrayList<>();
        for (int depth = 1; depth <= maxDepth; depth++) {
            for (int branch : new int[] {1, 2, 3, 4, 6, 8}) {
                for (int tokens : new int[] {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 63}) {
                    boolean useful = branch == 1 ? tokens == depth : tokens > depth;
                    if (branch <= maxBranch && tokens <= maxTokens && useful && tokens <= SpeculationPlan.pool(depth, branch)
                        && tokens <= 6 * depth) {
                        plans.add(new SpeculationPlan(depth, branch, tokens));
                    }
                }
            }
        }
        return plans;
    }

    /**
     * The plan of the next step.
     *
     * @param missedRows decided tokens that the drafter has not been extended over
     */
    public SpeculationPlan choose(int batch, int missedRows) {
        if (batch == decidedBatch && ++held < HOLD) {
            return take(probe >= 0 ? probe : current, batch);
        }
        decidedBatch = batch;
        held = 0;
        refresh(HOLD);
        double currentScore = score(current, batch, missedRows);
        int best = current;
        double bestScore = currentScore * (1 + margin);
        int on = 0;
        double onScore = 0;
        for (int i = 0; i < expected.length; i++) {
            double score = i == current ? currentScore : score(i, batch, missedRows);
            if (i != current && score > bestScore) {
                best = i;
                bestScore = score;
            }
            if (i > 0 && score > onScore) {
                on = i;
                onScore = score;
            }
        }
        current = best;
        probe = probe >= 0 ? -1 : probe(batch, missedRows, on, onScore);
        return take(probe >= 0 ? probe : current, batch);
    }

    private SpeculationPlan take(int index, int batch) {
        int size = StepCorrections.size(batch);
        sinceOff[size] = index == 0 ? 0 : sinceOff[size] + 1;
        sinceOn[size] = index == 0 ? sinceOn[size] + 1 : 0;
        return plans.get(index);
    }

    /**
     * What is not taken is not measured: a profile that was wrong about it, or is no longer right, would never be put right. So off, or
     * the best plan while off is taken, is tried for one decision if it was not for long and is not hopeless.
     */
    private int probe(int batch, int missedRows, int on, double onScore) {
        double off = score(0, batch, missedRows);
        int size = StepCorrections.size(batch);
        if (current != 0) {
            return sinceOff[size] < PROBE_EVERY || off < PROBE_OFF_SHARE * onScore ? -1 : 0;
        }
        // Turning on costs the extension over missed tokens once more: it must be small beside what is run in between.
        double extension = missedRows <= batch ? 0 : costs.extendSeconds(batch, missedRows);
        boolean due = on > 0 && sinceOn[size] >= PROBE_EVERY && onScore >= PROBE_ON_SHARE * off
            && extension <= 0.005 * PROBE_EVERY * costs.verifySeconds(batch, SpeculationPlan.OFF);
        return due ? on : -1;
    }

    /** Every plan's expected tokens per second, without margin. */
    public Map<SpeculationPlan, Double> scores(int batch) {
        refreshed = -1;
        refresh(1);
        Map<SpeculationPlan, Double> scores = new LinkedHashMap<>();
        for (int i = 0; i < expected.length; i++) {
            scores.put(plans.get(i), score(i, batch, batch));
        }
        return scores;
    }

    private void refresh(int steps) {
        age += steps;
        if (refreshed != acceptance.version() && (refreshed < 0 || age >= REFRESH)) {
            expectation.refresh(acceptance);
            for (int i = 0; i < expected.length; i++) {
                expected[i] = expectation.of(plans.get(i));
            }
            refreshed = acceptance.version();
            age = 0;
        }
    }

    private double score(int index, int batch, int missedRows) {
        SpeculationPlan plan = plans.get(index);
        if (!plan.isOff() && batch * (plan.tokens() + 1) > maxRows) {
            return 0;
        }
        return batch * tokens(index) / (verifySeconds(plan, batch) + (plan.isOff() ? 0 : draftSeconds(plan, batch, missedRows, tokens(index))));
    }

    private double tokens(int index) {
        return 1 + gains[index] * (expected[index] - 1);
    }

    private double verifySeconds(SpeculationPlan plan, int batch) {
        return costs.verifySeconds(batch, plan) * verifyCorrections.factor(batch, plan.tokens() + 1);
    }

    private double draftSeconds(SpeculationPlan plan, int batch, int missedRows, double tokens) {
        double seconds = costs.draftSeconds(batch, plan, tokens);
        int extra = missedRows - 2 * (int) Math.ceil(batch * tokens);
        if (extra > 0) {
            seconds += costs.extendSeconds(batch, extra) / SWITCH_STEPS;
        }
        return seconds * draftCorrections.factor(batch, plan.branch());
    }

    /** What a step of {@code plan} gained and how long its two halves took. */
    public void observe(SpeculationPlan plan, int batch, int missedRows, int tokens, double draftSeconds, double verifySeconds) {
        int index = plans.indexOf(plan);
        if (index < 0) {
            return;
        }
        verifyCorrections.observe(batch, plan.tokens() + 1, verifySeconds / costs.verifySeconds(batch, plan));
        if (plan.isOff()) {
            return;
        }
        double predicted = draftSeconds(plan, batch, missedRows, tokens(index)) / draftCorrections.factor(batch, plan.branch());
        draftCorrections.observe(batch, plan.branch(), draftSeconds / predicted);
        if (expected[index] > 1.05) {
            double gained = (double) tokens / batch - 1;
            double ratio = Math.clamp(gained / (expected[index] - 1), 0.0, 3.0);
            gains[index] = GAIN_DECAY * gains[index] + (1 - GAIN_DECAY) * ratio;
        }
    }
}

package org.respec.engine.speculation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;
import org.respec.kernels.TreeBatch;

/**
 * Picks the plan with the highest expected tokens per second for the live batch: {@code batch * E[tokens] / seconds}, off included.
 * Leaves the present plan only for one that is better by a margin.
 */
public final class PlanSolver {
    private static final double GAIN_DECAY = 0.97;
    /** Steps over which prediction is compared with what came, 1/e of it lost in as many. */
    private static final double ERROR_DECAY = 0.99;
    private static final double GAIN_FADE = 0.002;
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
    /** More of the device than this is never taken to be others': under any load, steps end. */
    private static final double MOST_LOAD = 0.95;
    /** A change of the load by more than this is told late: what steps have taken meanwhile was laid to the profile, wrongly. */
    private static final double LOAD_CHANGE = 0.12;
    /** Steps in which a change of the load is sure to have been noticed. */
    private static final int LOAD_LAG = 256;

    private final List<SpeculationPlan> plans;
    private final AcceptanceTracker acceptance;
    private final PlanCosts costs;
    private final double margin;
    private final int maxRows;
    private final DoubleSupplier utilization;
    /** What others use of the device, as of the last decision. */
    private double load;
    private double settledLoad;
    private int settledSteps;
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
    private double costErrors;
    private double costWeights;
    private double tokensPredicted;
    private double tokensSeen;
    /** Tokens gained by each plan over those expected: real trees follow the drafter's scores and do better than the best fixed one. */
    private final double[] gains;

    /**
     * @param plans candidates; off is added if it is missing
     * @param margin how much better, as a share, another plan must be to replace the present one
     * @param maxRows most rows of one verify pass
     */
    public PlanSolver(List<SpeculationPlan> plans, AcceptanceTracker acceptance, PlanCosts costs, double margin, int maxRows) {
        this(plans, acceptance, costs, margin, maxRows, () -> 0);
    }

    /**
     * As above, on a device that others use too.
     *
     * @param utilization the share of it that they use now, 0 to 1: see {@link SharedDevice}
     */
    public PlanSolver(List<SpeculationPlan> plans, AcceptanceTracker acceptance, PlanCosts costs, double margin, int maxRows,
                      DoubleSupplier utilization) {
        List<SpeculationPlan> all = new ArrayList<>();
        all.add(SpeculationPlan.OFF);
        plans.stream().filter(p -> !p.isOff()).forEach(all::add);
        this.plans = List.copyOf(all);
        this.acceptance = acceptance;
        this.costs = costs;
        this.margin = margin;
        this.maxRows = maxRows;
        this.utilization = utilization;
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
        takeLoad(Math.min(utilization.getAsDouble(), MOST_LOAD));
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

    private void takeLoad(double now) {
        load = now;
        settledSteps += HOLD;
        boolean changed = Math.abs(now - settledLoad) > LOAD_CHANGE;
        if (changed) {
            verifyCorrections.recall();
            draftCorrections.recall();
        } else if (settledSteps >= LOAD_LAG) {
            verifyCorrections.remember();
            draftCorrections.remember();
        }
        if (changed || settledSteps >= LOAD_LAG) {
            settledLoad = now;
            settledSteps = 0;
        }
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
        return batch * tokens(index) / (stepSeconds(index, batch, missedRows) * slowdown(index, batch, missedRows));
    }

    /** Seconds of a step on a device that nobody else uses. */
    private double stepSeconds(int index, int batch, int missedRows) {
        SpeculationPlan plan = plans.get(index);
        return verifySeconds(plan, batch) + (plan.isOff() ? 0 : draftSeconds(plan, batch, missedRows, tokens(index)));
    }

    /** By how much others' use of the device lengthens a step, over how much it lengthens off's. */
    private double slowdown(int index, int batch, int missedRows) {
        if (load == 0 || index == 0) {
            return 1;
        }
        double step = stepSeconds(index, batch, missedRows);
        return SharedDevice.seconds(verifySeconds(SpeculationPlan.OFF, batch), step, plans.get(index).tokens(), load) / step;
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
        judge(index, batch, missedRows, tokens, draftSeconds + verifySeconds);
        // What is laid to the load of the device is not laid to the profile.
        double slowdown = slowdown(index, batch, missedRows);
        verifyCorrections.observe(batch, plan.tokens() + 1, verifySeconds / (costs.verifySeconds(batch, plan) * slowdown));
        if (plan.isOff()) {
            return;
        }
        double predicted = draftSeconds(plan, batch, missedRows, tokens(index)) / draftCorrections.factor(batch, plan.branch());
        if (predicted > 0) {
            draftCorrections.observe(batch, plan.branch(), draftSeconds / (predicted * slowdown));
        }
        if (expected[index] > 1.05) {
            double gained = (double) tokens / batch - 1;
            double ratio = Math.clamp(gained / (expected[index] - 1), 0.0, 3.0);
            gains[index] = GAIN_DECAY * gains[index] + (1 - GAIN_DECAY) * ratio;
        }
        for (int i = 1; i < gains.length; i++) {
            // What was seen of a plan long ago, perhaps while acceptance was still hoped for, is not held against it for ever.
            gains[i] += i == index ? 0 : GAIN_FADE * (1 - gains[i]);
        }
    }

    private void judge(int index, int batch, int missedRows, int tokens, double seconds) {
        double predicted = stepSeconds(index, batch, missedRows) * slowdown(index, batch, missedRows);
        costErrors = ERROR_DECAY * costErrors + Math.min(1, Math.abs(predicted / seconds - 1));
        costWeights = ERROR_DECAY * costWeights + 1;
        if (index > 0) {
            tokensPredicted = ERROR_DECAY * tokensPredicted + batch * tokens(index);
            tokensSeen = ERROR_DECAY * tokensSeen + tokens;
        }
    }

    /**
     * How wrong steps' predicted times were of late: decayed mean of their relative errors, each at most 1, so that a step that was
     * interrupted does not outweigh the rest; NaN before the first.
     */
    public double costError() {
        return costWeights == 0 ? Double.NaN : costErrors / costWeights;
    }

    /**
     * How wrong the predicted tokens of speculative steps were of late: relative difference of the decayed sums, since how many a single
     * step gains is chance; NaN before the first.
     */
    public double tokensError() {
        return tokensSeen == 0 ? Double.NaN : Math.abs(tokensPredicted / tokensSeen - 1);
    }
}

package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;
import org.respec.kernels.TreeBatch;

/**
 * What steps really take over what a profile says. A machine that is faster or slower at one time than at another is one thing, and
 * concerns all plans alike: one factor follows every step. How much dearer some rows are beside others than the profile says is another,
 * and is best seen where one number of rows follows another on the same batch: the median of some steps after such a change is held
 * against that of the last before it. Where batches pass in a few steps, all that is left is how fast the machine is on the whole. How
 * much dearer drafts of some shape are is seen beside their own steps' verify passes.
 */
final class StepCorrections {
    /** Batches of 1, 2, 3-4, 5-8, ... share their corrections. */
    static final int SIZES = 33;
    private static final double LEARN = 0.25;
    /** What a step took beyond such a ratio is not the machine's speed: on a shared one, steps stall for some milliseconds. */
    private static final double MOST_STRIDE = 1.3;
    /** Steps after a change of plans of which the first are looked at, and of which the rest are; fewer, but not fewer than the least. */
    private static final int FIRST = 4;
    private static final int WINDOW = 16;
    private static final int LEAST = 3;
    /**
     * Variances of the logarithms of a step's time, which the median of several makes up for, of what a machine's speed changes from some
     * steps to the next, and of what drafts and verify passes of the same steps have to do with each other. Measured on two shared virtual
     * cores, 4 to 16 verify passes beside the 16 before them: 0.056 to 0.062 apart with 3x1x3, 0.032 to 0.041 with off.
     */
    private static final double STEP_NOISE = 0.06 * 0.06;
    private static final double DRIFT = 0.055 * 0.055;
    private static final double DRAFT_DRIFT = 0.02 * 0.02;
    /** How fast a machine is on the whole is the mean over about so many short stays with a plan, those that were interrupted left out. */
    private static final int MOST_LEVELS = 64;
    private static final double INTERRUPTED = 0.3;
    /** Steps after which what is known is reckoned anew. */
    private static final int SETTLED = 64;
    private static final int SHAPES = (TreeBatch.MAX_DEPTH + 1) * (TreeBatch.MAX_BRANCH + 1);

    private double machine = 1;
    /** Mean logarithm of what steps took over what was known of them, how fast the machine is on the whole; over how many stays. */
    private double level;
    private int levels;
    /** By size of the batch. */
    private final LearntFactors[] verify = new LearntFactors[SIZES];
    private final LearntFactors[] draft = new LearntFactors[SIZES];
    private SpeculationPlan lastPlan = SpeculationPlan.OFF;
    private int lastSize = -1;
    /** The last steps' times over the profile's, of the present plan; how many such steps there were, and which of them were looked at. */
    private final double[] verified = new double[WINDOW];
    private final double[] drafted = new double[WINDOW];
    private final double[] sorted = new double[WINDOW];
    private int steps;
    private int seen;
    /** Rows before the present ones, 0 where nothing is to be compared with them. What their steps took over the profile, and how many. */
    private int beforeRows;
    private double before;
    private int beforeSteps;
    private long now;
    /** Until when nothing is compared. */
    private long apart;

    StepCorrections() {
        double[][] ofRows = nearness(TreeBatch.MAX_NODES + 1, rows -> rows, rows -> 1);
        double[][] ofShapes = nearness(SHAPES, StepCorrections::depth, StepCorrections::branch);
        for (int size = 0; size < SIZES; size++) {
            verify[size] = new LearntFactors(ofRows);
            draft[size] = new LearntFactors(ofShapes);
        }
    }

    private static double[][] nearness(int count, IntToDoubleFunction first, IntToDoubleFunction second) {
        double[][] nearness = new double[count][count];
        for (int a = 0; a < count; a++) {
            for (int b = 0; b < count; b++) {
                nearness[a][b] = LearntFactors.nearness(first.applyAsDouble(a), first.applyAsDouble(b))
                    * LearntFactors.nearness(second.applyAsDouble(a), second.applyAsDouble(b));
            }
        }
        return nearness;
    }

    private static int shape(SpeculationPlan plan) {
        return plan.depth() * (TreeBatch.MAX_BRANCH + 1) + plan.branch();
    }

    private static int depth(int shape) {
        return shape / (TreeBatch.MAX_BRANCH + 1);
    }

    private static int branch(int shape) {
        return shape % (TreeBatch.MAX_BRANCH + 1);
    }

    /** Which corrections a batch shares. */
    static int size(int batch) {
        return 32 - Integer.numberOfLeadingZeros(Math.max(1, batch) - 1);
    }

    /** By how much the machine as a whole is slower than the profile says. */
    double machine() {
        return machine;
    }

    /** By how much the profile's seconds of a verify pass are to be multiplied. */
    double verify(int batch, SpeculationPlan plan) {
        return machine * verify[size(batch)].factor(plan.tokens() + 1);
    }

    /** By how much the profile's seconds of drafting are to be multiplied. */
    double draft(int batch, SpeculationPlan plan) {
        return machine * draft[size(batch)].factor(shape(plan));
    }

    /**
     * By how much what a plan's steps take may differ from what is thought: a standard deviation of its logarithm.
     *
     * @param draftShare share of a step that is drafting
     */
    double deviation(int batch, SpeculationPlan plan, double draftShare) {
        double ofVerify = (1 - draftShare) * (1 - draftShare) * verify[size(batch)].variance(plan.tokens() + 1);
        return Math.sqrt(ofVerify + draftShare * draftShare * draft[size(batch)].variance(shape(plan)));
    }

    /** How little steps have shown of such a plan's verify passes: 1 for nothing but the profile is known, less with all that was seen. */
    double ignorance(int batch, SpeculationPlan plan) {
        return verify[size(batch)].ignorance(plan.tokens() + 1);
    }

    /** Goes back to the profile. */
    void forget() {
        for (int size = 0; size < SIZES; size++) {
            verify[size].forget();
            draft[size].forget();
        }
        beforeRows = 0;
        steps = 0;
        seen = 0;
        levels = 0;
    }

    /** The machine is not what it was: what the next {@code count} steps show is not held against what was before them. */
    void part(int count) {
        apart = now + count;
        beforeRows = 0;
        steps = 0;
        seen = 0;
    }

    /**
     * A step's verify pass took {@code verifyRatio} times what the profile says.
     *
     * @param draftRatio the same of its draft; NaN where there is none, or it says nothing
     */
    void observe(int batch, SpeculationPlan plan, double verifyRatio, double draftRatio) {
        int size = size(batch);
        if (size != lastSize || !plan.equals(lastPlan)) {
            change(size, plan);
        }
        now++;
        if (now >= apart) {
            verified[steps % WINDOW] = verifyRatio;
            drafted[steps++ % WINDOW] = draftRatio;
            if (steps == FIRST || steps % WINDOW == 0) {
                look();
            }
            if (steps % SETTLED == 0) {
                settle();
            }
        }
        // A step that was interrupted says nothing about the next.
        machine *= 1 + LEARN * (Math.clamp(verifyRatio / verify(batch, plan), 1 / MOST_STRIDE, MOST_STRIDE) - 1);
    }

    private void change(int size, SpeculationPlan plan) {
        if (steps > 0 && steps < WINDOW && beforeRows == 0) {
            compareWithLevel();
        }
        look();
        beforeSteps = Math.min(steps, WINDOW);
        // The profile may be wrong about one batch beside another, but not about its plans for that.
        boolean comparable = size == lastSize && plan.tokens() != lastPlan.tokens() && beforeSteps >= LEAST;
        beforeRows = comparable ? lastPlan.tokens() + 1 : 0;
        before = comparable ? median(verified, 0, beforeSteps, LEAST) : 0;
        lastSize = size;
        lastPlan = plan;
        steps = 0;
        seen = 0;
    }

    /** The median of what is known of the steps from {@code from} to {@code to}, which fit the window; NaN where that is too little. */
    private double median(double[] ratios, int from, int to, int least) {
        int count = 0;
        for (int i = from; i < to; i++) {
            double ratio = ratios[i % WINDOW];
            if (!Double.isNaN(ratio)) {
                sorted[count++] = ratio;
            }
        }
        Arrays.sort(sorted, 0, count);
        return count < least ? Double.NaN : (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    }

    /** Learns from the present plan's steps that were not looked at. */
    private void look() {
        int count = steps - seen;
        if (count < LEAST) {
            return;
        }
        double ratio = median(verified, seen, steps, LEAST);
        double noise = STEP_NOISE / count;
        if (beforeRows > 0) {
            settle();
            LearntFactors rows = verify[lastSize];
            int present = lastPlan.tokens() + 1;
            double known = rows.factor(present);
            double error = Math.log(ratio / known) - Math.log(before / rows.factor(beforeRows));
            rows.compare(present, beforeRows, error, noise + STEP_NOISE / beforeSteps + DRIFT);
            machine *= known / rows.factor(present);
        }
        double drafting = median(drafted, seen, steps, LEAST);
        if (!Double.isNaN(drafting)) {
            double beside = ratio / verify[lastSize].factor(lastPlan.tokens() + 1);
            double error = Math.log(drafting / (beside * draft[lastSize].factor(shape(lastPlan))));
            draft[lastSize].learn(shape(lastPlan), error, 2 * noise + DRAFT_DRIFT);
        }
        seen = steps;
        if (steps >= WINDOW) {
            beforeRows = 0;
        }
    }

    /**
     * Where a batch changes within some steps, as in a rollout's tail, no plan follows another on the same batch: there, what steps took is
     * held against how fast the machine is on the whole, which over many rollouts tells as much.
     */
    private void compareWithLevel() {
        settle();
        LearntFactors rows = verify[lastSize];
        int present = lastPlan.tokens() + 1;
        double known = rows.factor(present);
        if (levels == 0) {
            // Not from the first stay, which may have been interrupted: it would be held against all others for long.
            level = Math.log(machine);
        }
        double error = Math.log(median(verified, 0, steps, 1) / known) - level;
        if (Math.abs(error) > INTERRUPTED) {
            // The machine as a whole may have become as much slower: the mean has to be able to follow.
            level += Math.copySign(INTERRUPTED, error) / MOST_LEVELS;
        } else {
            rows.learn(present, error, STEP_NOISE / steps + DRIFT);
            machine *= known / rows.factor(present);
            level += error / (levels + 1);
        }
        levels = Math.min(levels + 1, MOST_LEVELS - 1);
    }

    /** What is known of the present batch's costs fades; of rows that are taken all the time no less is known than before. */
    private void settle() {
        LearntFactors rows = verify[lastSize];
        double known = rows.factor(lastPlan.tokens() + 1);
        rows.settle(now);
        draft[lastSize].settle(now);
        machine *= known / rows.factor(lastPlan.tokens() + 1);
    }
}

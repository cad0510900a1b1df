package org.respec.engine.rollout;

import java.util.Arrays;
import java.util.List;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TreeBatch;

/**
 * Times a rollout engine's own steps, plan by plan: what drafting and verifying take with all that the host does for them. Requests begin
 * together, after one prompt of typical length. What they draw means nothing, and acceptance is set.
 */
final class StepTimer implements AutoCloseable {
    private static final int PROMPT = 32;
    /** Of each level, among those that drafters reach: what is accepted has to be kept, which takes time. */
    private static final double[] ACCEPTANCE = {0.8};
    /** Steps of a rollout, whose first does not count: it takes the prompt in. */
    private static final int STEPS = 32;
    /** Of steps that take longer than some milliseconds, and of such that take longer still. */
    private static final int FEW_STEPS = 8;
    private static final int FEWEST_STEPS = 2;
    private static final int MOST_SAMPLES = 1 << 12;

    private final RolloutEngine engine;
    private final int[] prompt;
    private final int longest;
    private final double[] draft = new double[MOST_SAMPLES];
    private final double[] verify = new double[MOST_SAMPLES];
    private SpeculationPlan plan;
    private int requests;
    private int samples;
    private long gained;
    /** Whether the next step is one that does not count. */
    private boolean first;

    /** For up to so many requests, and passes of as many rows, as {@code limits} has. */
    StepTimer(Ops ops, Actor actor, Drafter drafter, RolloutLimits limits) {
        prompt = new int[Math.min(PROMPT, limits.maxPrompt())];
        Arrays.fill(prompt, 1);
        longest = Math.min(most(TreeBatch.MAX_DEPTH, STEPS), RolloutEngine.mostTokens(actor.config(), prompt.length));
        RolloutLimits own = new RolloutLimits(limits.maxBatch(), prompt.length, longest, limits.pageSize(), 0, limits.captureTopK(),
            limits.maxRows());
        engine = new RolloutEngine(ops, actor, drafter, own, SamplingParams.temperature(1f), 1, new StopRule(List.of(), List.of()),
            new Recorder(), true, 1f);
        engine.impose(new ImposedAcceptance(ACCEPTANCE));
    }

    /** Tokens that take off so many steps, and a plan more than half as many, even if all is accepted. */
    private static int most(int depth, int steps) {
        return depth == 0 ? steps : steps / 2 * (depth + 1) + 1;
    }

    /**
     * Runs steps with a plan for about {@code nanos}, or as few as there can be.
     *
     * @param expected about what a step takes, in nanoseconds; 0 if nothing is known
     */
    void run(int batch, SpeculationPlan with, long nanos, double expected) {
        plan = with;
        requests = batch;
        samples = 0;
        gained = 0;
        int steps = FEWEST_STEPS * expected > nanos ? FEWEST_STEPS : FEW_STEPS * expected > nanos ? FEW_STEPS : STEPS;
        int tokens = Math.min(longest, most(with.depth(), steps));
        PromptGroup group = new PromptGroup(prompt, batch, 0, tokens);
        long begin = System.nanoTime();
        do {
            // A response that may end with its first step has no other to tell of.
            first = tokens > with.depth() + 1;
            engine.generate(List.of(group));
        } while (samples < MOST_SAMPLES && System.nanoTime() - begin < nanos);
    }

    /** Median time of drafting, in seconds. */
    double draftSeconds() {
        return median(draft);
    }

    /** Median time of the rest of a step, in seconds. */
    double verifySeconds() {
        return median(verify);
    }

    /** Mean tokens that a request gained in a step. */
    double tokens() {
        return (double) gained / samples / requests;
    }

    private double median(double[] seconds) {
        Arrays.sort(seconds, 0, samples);
        return seconds[samples / 2];
    }

    @Override
    public void close() {
        engine.close();
    }

    private final class Recorder implements PlanPolicy {
        @Override
        public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
            return plan;
        }

        @Override
        public void observeStep(SpeculationPlan of, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
            if (batch == requests && !first && samples < MOST_SAMPLES) {
                draft[samples] = draftNanos * 1e-9;
                verify[samples++] = verifyNanos * 1e-9;
                gained += tokens;
            }
            first = false;
        }

        @Override
        public void observeRank(int request, int depth, int rank, int named) {
            // The plan is given.
        }
    }
}

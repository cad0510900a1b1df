package org.respec.tools;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.AdaptivePolicy;
import org.respec.engine.rollout.Drafting;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.speculation.AcceptanceTracker;
import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.PlanCosts;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Rollouts of the bundled model: tokens per step come as the plan solver predicts them, whatever the batch and the plan. */
class PredictedTokensTest {
    private static final Path MODELS = Path.of("models", "arithmetic");
    private static final int MAX_ROWS = 1024;
    private static final long STEP_NANOS = 1_000_000_000;

    /** Steps take no time that could matter, so that what the solver knows is the same in every run of the test. */
    private static final PlanCosts EQUAL = new PlanCosts() {
        @Override
        public double verifySeconds(int batch, SpeculationPlan plan) {
            return STEP_NANOS * 1e-9;
        }

        @Override
        public double draftSeconds(int batch, SpeculationPlan plan, int rows) {
            return 0;
        }

        @Override
        public double extendSeconds(int batch, int rows) {
            return 0;
        }
    };

    /** Keeps to one plan and notes how far the solver's predictions of it were off, once it had time to learn. */
    private static final class Watch implements PlanPolicy {
        private final SpeculationPlan plan;
        private final int learning;
        private final AdaptivePolicy solver;
        private int steps;
        private double worst;

        Watch(SpeculationPlan plan, int learning) {
            this.plan = plan;
            this.learning = learning;
            AcceptanceTracker acceptance = AcceptanceTracker.hopeful();
            solver = new AdaptivePolicy(new PlanSolver(List.of(plan), acceptance, EQUAL, 0.05, MAX_ROWS), acceptance);
        }

        @Override
        public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
            solver.choose(batch, missedRows, remainingTokens);
            return plan;
        }

        @Override
        public void observeStep(SpeculationPlan taken, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
            solver.observeStep(taken, batch, rows, tokens, 0, STEP_NANOS);
            if (++steps > learning) {
                worst = Math.max(worst, solver.tokensError());
            }
        }

        @Override
        public void observeRank(int request, int depth, int rank, int named) {
            solver.observeRank(request, depth, rank, named);
        }

        @Override
        public void attach(LiveBatch batch) {
            solver.attach(batch);
        }
    }

    @Test
    void predictedTokensAreThoseThatCome() {
        try (Ops ops = Backends.open("cpu", 2); LoadedModel model = LoadedModel.load(ops, MODELS.resolve("actor"), MODELS.resolve("drafter"))) {
            for (String plan : List.of("2x1x2", "4x2x8", "8x2x10")) {
                check(ops, model, SpeculationPlan.parse(plan), 4, 100);
                check(ops, model, SpeculationPlan.parse(plan), 16, 320);
                check(ops, model, SpeculationPlan.parse(plan), 64, 1000);
            }
            // One request alone gains so few tokens in the hundred steps that errors are over that chance has its share in them.
            check(ops, model, SpeculationPlan.parse("4x2x8"), 1, 60);
        }
    }

    private static void check(Ops ops, LoadedModel model, SpeculationPlan plan, int batch, int requests) {
        ArithmeticProblems problems = new ArithmeticProblems(1, 2, 8, 0.75, 99, 999);
        List<PromptGroup> prompts = new ArrayList<>();
        int longest = 1;
        for (int i = 0; i < requests; i++) {
            int[] prompt = model.tokenizer().encode(problems.heldOut(i).prompt());
            longest = Math.max(longest, prompt.length);
            prompts.add(new PromptGroup(prompt, 1, i));
        }
        Watch watch = new Watch(plan, batch == 1 ? 150 : 100);
        try (RolloutEngine engine = new RolloutEngine(ops, model.actor(), model.drafter(),
            new RolloutLimits(batch, longest, 96, 16, 0, 0, MAX_ROWS), SamplingParams.temperature(1f), 1,
            new StopRule(model.actor().config().eosTokenIds(), List.of()), watch, Drafting.of(Drafting.Kind.EAGLE, 1f))) {
            engine.generate(prompts);
            assertTrue(watch.steps >= watch.learning + 20, plan + " at batch " + batch + " took only " + watch.steps + " steps");
            assertTrue(watch.worst <= 0.05, plan + " at batch " + batch + ": predicted tokens were off by " + watch.worst);
        }
    }
}

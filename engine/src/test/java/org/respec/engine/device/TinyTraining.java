package org.respec.engine.device;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.respec.engine.distill.DraftLearner;
import org.respec.engine.distill.ReplayBuffer;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TestModels;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.Rollouts;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** The main job's loop without its files: rollout, GRPO with a KL term, drafter learning, on any operators. */
final class TinyTraining {
    private static final int TOP_K = 5;
    private static final SamplingParams SAMPLING = SamplingParams.temperature(0.9f);

    /** What one iteration came to. */
    record Iteration(List<Trajectory> trajectories, PolicyTrainer.Report policy, DraftLearner.Report draft) {
    }

    /** All iterations, and the weights after them. */
    record Outcome(List<Iteration> iterations, float[] actor, float[] drafter, String actorSha256, String drafterSha256) {
    }

    private TinyTraining() {
    }

    /** Trains random models; every number comes from seeds. */
    static Outcome run(Ops ops, ModelConfig config, DrafterConfig draftConfig, SpeculationPlan plan, int iterations, int maxTokens) {
        return run(ops, config, draftConfig, plan, iterations, maxTokens, DType.F32);
    }

    /** @param dtype that models compute in; with BF16 importance is corrected */
    static Outcome run(Ops ops, ModelConfig config, DrafterConfig draftConfig, SpeculationPlan plan, int iterations, int maxTokens,
                       DType dtype) {
        try (Actor actor = TestModels.actor(ops, config, 21, dtype);
             Actor reference = TestModels.actor(ops, config, 21, dtype);
             Drafter drafter = TestModels.drafter(ops, draftConfig, actor, 22);
             AdamW actorOptimizer = new AdamW(ops, actor.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0.01f, 1f));
             AdamW draftOptimizer = new AdamW(ops, drafter.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 0.5f));
             PolicyTrainer trainer = new PolicyTrainer(ops, actor, reference, actorOptimizer, new PolicyLoss(0.2f, 0.2f, 0.1f),
                 new PolicyTrainer.Schedule(2, 1, false, SAMPLING, dtype == DType.F32 ? 0 : 2), 64);
             ReplayBuffer replay = new ReplayBuffer(200, 3 * config.hiddenSize(), TOP_K);
             DraftLearner learner = new DraftLearner(ops, drafter, draftOptimizer, replay, 3,
                 DraftLearner.Settings.plain(2, 64, 0.8f, SAMPLING.temperature(), 1e-2f, 5));
             RolloutEngine rollout = new RolloutEngine(ops, actor, drafter, new RolloutLimits(5, 17, maxTokens, 4, 0, TOP_K), SAMPLING, 77,
                 new StopRule(List.of(3), List.of()), new FixedPolicy(plan), !plan.isOff(), 1f)) {
            List<Iteration> done = new ArrayList<>();
            for (int i = 0; i < iterations; i++) {
                List<Trajectory> drawn = rollout.generate(prompts(config, i)).trajectories();
                float[] advantages = new float[drawn.size()];
                for (int t = 0; t < advantages.length; t++) {
                    // An arbitrary reward that some responses earn: an even number of even tokens.
                    long even = Arrays.stream(drawn.get(t).response()).filter(x -> x % 2 == 0).count();
                    advantages[t] = even % 2 == 0 ? 1 : -0.7f;
                    replay.add(drawn.get(t), even % 2 == 0 ? 1 : 0.2f);
                }
                PolicyTrainer.Report policy = trainer.update(drawn, advantages, 1e-2f);
                done.add(new Iteration(drawn, policy, learner.update(i)));
            }
            return new Outcome(done, floats(actor.weights()), floats(drafter.weights()), actor.weights().sha256(),
                drafter.weights().sha256());
        }
    }

    static List<PromptGroup> prompts(ModelConfig config, int iteration) {
        return Rollouts.prompts(config.vocabSize(), 31 + iteration, 3, 100L * iteration, 7, 1, 17);
    }

    private static float[] floats(ParameterSet set) {
        return set.download().toArray(ValueLayout.JAVA_FLOAT);
    }
}

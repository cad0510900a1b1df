package org.respec.engine.rollout;

import java.util.List;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.respec.engine.model.SmallModel;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.SamplingParams;

/** Rollouts of a {@link SmallModel} that is there while a test class runs: its engines, and prompts for them. */
final class SmallRollouts implements BeforeAllCallback, AfterAllCallback {
    static final SamplingParams HOT = SamplingParams.temperature(1f);
    /** Tokens of the longest of {@link #prompts(int)}. */
    static final int LONGEST_PROMPT = 17;

    private SmallModel model;

    @Override
    public void beforeAll(ExtensionContext context) {
        model = SmallModel.open(21);
    }

    @Override
    public void afterAll(ExtensionContext context) {
        model.close();
    }

    SmallModel model() {
        return model;
    }

    /** Seven prompts with {@code samples} responses each. */
    List<PromptGroup> prompts(int samples) {
        return prompts(samples, 7, 1, 16, LONGEST_PROMPT, 5, 2, 11);
    }

    /** Prompts of these lengths with {@code samples} responses each. */
    List<PromptGroup> prompts(int samples, int... lengths) {
        return Rollouts.prompts(model.config().vocabSize(), 31, samples, 1000, lengths);
    }

    /** An engine whose drafter is taught too; see {@link Rollouts#engine} for {@code setting}. */
    RolloutEngine engine(RolloutLimits limits, SamplingParams sampling, StopRule stop, String setting) {
        return Rollouts.engine(model.ops(), model.actor(), model.drafter(), limits, sampling, stop, setting);
    }

    /** An engine that has the drafter only if it is to draft. */
    RolloutEngine engine(RolloutLimits limits, SamplingParams sampling, StopRule stop, Drafting drafting, PlanPolicy policy) {
        return new RolloutEngine(model.ops(), model.actor(), drafting.kind() == Drafting.Kind.EAGLE ? model.drafter() : null, limits,
            sampling, Rollouts.SEED, stop, policy, drafting);
    }
}

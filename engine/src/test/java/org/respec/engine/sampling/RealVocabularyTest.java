package org.respec.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.ndarray.NDManager;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.model.TorchQwen3;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** With speculation on, what the engine draws follows probabilities that libtorch computes from the weights. */
class RealVocabularyTest {
    private static final Path BUNDLED = Path.of("..", "tools", "models", "arithmetic");

    private static List<int[]> draw(Ops ops, Actor actor, Drafter drafter, int[] prompt, int tokens, float temperature,
                                     SpeculationPlan plan, int samples) {
        try (RolloutEngine engine = new RolloutEngine(ops, actor, drafter, new RolloutLimits(64, prompt.length, tokens, 16, 0, 0),
            SamplingParams.temperature(temperature), 29, new StopRule(List.of(), List.of()), new FixedPolicy(plan), true, 1f)) {
            Rollout drawn = engine.generate(List.of(new PromptGroup(prompt, samples, 7000)));
            assertTrue(drawn.stats().speculativeTokens() == (long) tokens * samples, "every token came from a tree");
            List<int[]> responses = new ArrayList<>();
            drawn.trajectories().forEach(t -> responses.add(t.response()));
            return responses;
        }
    }

    private static double[] truth(NDManager manager, Actor actor, int[] prompt, float temperature) {
        float[] logits = new TorchQwen3(manager, actor.weights()).actor(actor.config(), prompt, null).toFloatArray();
        int vocab = actor.config().vocabSize();
        return Distributions.softmax(logits, (prompt.length - 1) * vocab, vocab, temperature);
    }

    /** The trained model is sure of most tokens; at the higher temperature all of them have a chance. */
    @ParameterizedTest
    @ValueSource(floats = {1, 3})
    void theBundledModel(float temperature) {
        try (Ops ops = Backends.open("cpu", 2);
             LoadedModel model = LoadedModel.load(ops, BUNDLED.resolve("actor"), BUNDLED.resolve("drafter"));
             NDManager manager = NDManager.newBaseManager("PyTorch")) {
            int[] prompt = model.tokenizer().encode("47+85-19=47+85=1");
            int vocab = model.actor().config().vocabSize();
            long[] first = new long[vocab];
            long[][] second = new long[vocab][vocab];
            for (int[] response : draw(ops, model.actor(), model.drafter(), prompt, 2, temperature, new SpeculationPlan(2, 2, 3), 4000)) {
                first[response[0]]++;
                second[response[0]][response[1]]++;
            }
            ChiSquare test = new ChiSquare().add(first, truth(manager, model.actor(), prompt, temperature));
            for (int x = 0; x < vocab; x++) {
                if (first[x] > 0) {
                    test.add(second[x], truth(manager, model.actor(), TestModels.join(prompt, new int[] {x}), temperature));
                }
            }
            test.check("the bundled model's next two tokens at temperature " + temperature);
            assertTrue(test.degrees() >= (temperature > 1 ? 50 : 2), "enough was compared");
        }
    }

    @Test
    void aVocabularyOf32000() {
        try (Ops ops = Backends.open("cpu", 2); NDManager manager = NDManager.newBaseManager("PyTorch")) {
            ModelConfig config = new ModelConfig(32_000, 24, 40, 3, 4, 2, 8, 1e-6, 10000, 64, true, List.of(1), 0);
            int[] prompt = {3, 14_159, 26_535, 8979};
            try (Actor actor = TestModels.actor(ops, config, 31);
                 Drafter drafter = TestModels.drafter(ops, TestModels.drafterConfig(config), actor, 32)) {
                long[] counts = new long[config.vocabSize()];
                draw(ops, actor, drafter, prompt, 1, 1f, new SpeculationPlan(1, 2, 2), 8000).forEach(response -> counts[response[0]]++);
                new ChiSquare().add(counts, truth(manager, actor, prompt, 1f)).check("a vocabulary of 32,000");
            }
        }
    }
}

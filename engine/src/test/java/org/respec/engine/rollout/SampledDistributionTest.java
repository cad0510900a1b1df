package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.ndarray.NDManager;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.SmallModel;
import org.respec.engine.model.TestModels;
import org.respec.engine.model.TorchQwen3;
import org.respec.engine.sampling.ChiSquare;
import org.respec.engine.sampling.Distributions;
import org.respec.kernels.SamplingParams;

/**
 * What is drawn with speculation on follows the model's own distribution: a million responses of two tokens, the first and the pair,
 * against probabilities that libtorch computes from the weights.
 */
class SampledDistributionTest {
    private static final int ROUNDS = 20;
    private static final int PER_ROUND = 50_000;

    @Test
    void aMillionDrawsFollowTheModel() {
        int[] prompt = {3, 14, 15, 9};
        try (SmallModel model = SmallModel.open(41);
             RolloutEngine engine = Rollouts.engine(model.ops(), model.actor(), model.drafter(), new RolloutLimits(256, 4, 2, 16, 0, 0),
                 SamplingParams.temperature(1f), Rollouts.NEVER, "2x2x3");
             NDManager manager = NDManager.newBaseManager("PyTorch")) {
            int vocab = model.config().vocabSize();
            long[] first = new long[vocab];
            long[] pairs = new long[vocab * vocab];
            long speculated = 0;
            long requestSteps = 0;
            for (int round = 0; round < ROUNDS; round++) {
                Rollout drawn = engine.generate(List.of(new PromptGroup(prompt, PER_ROUND, (long) round * PER_ROUND)));
                drawn.trajectories().forEach(t -> {
                    first[t.response()[0]]++;
                    pairs[t.response()[0] * vocab + t.response()[1]]++;
                });
                speculated += drawn.stats().speculativeTokens();
                requestSteps += drawn.stats().speculativeRequestSteps();
            }
            assertTrue(speculated == 2L * ROUNDS * PER_ROUND && requestSteps < speculated,
                "every token came from a tree, and some trees paid");
            System.out.printf(Locale.ROOT, "with speculation: %.2f tokens a step%n", (double) speculated / requestSteps);
            TorchQwen3 torch = new TorchQwen3(manager, model.actor().weights());
            double[] truth = next(torch, model.config(), prompt);
            double[] pairTruth = new double[pairs.length];
            for (int x = 0; x < vocab; x++) {
                double[] second = next(torch, model.config(), TestModels.join(prompt, new int[] {x}));
                for (int y = 0; y < vocab; y++) {
                    pairTruth[x * vocab + y] = truth[x] * second[y];
                }
            }
            ChiSquare ofFirst = new ChiSquare().add(first, truth);
            ChiSquare ofPairs = new ChiSquare().add(pairs, pairTruth);
            ofFirst.check("first token with speculation");
            ofPairs.check("pairs with speculation");
            assertTrue(ofFirst.degrees() == vocab - 1 && ofPairs.degrees() > 20 * vocab, "nearly all cells are compared");
        }
    }

    private static double[] next(TorchQwen3 torch, ModelConfig config, int[] tokens) {
        int vocab = config.vocabSize();
        return Distributions.softmax(torch.actor(config, tokens, null).toFloatArray(), (tokens.length - 1) * vocab, vocab, 1);
    }
}

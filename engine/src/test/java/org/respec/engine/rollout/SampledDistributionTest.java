package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.ndarray.NDManager;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.model.TorchQwen3;
import org.respec.engine.sampling.ChiSquare;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/**
 * What is drawn with speculation on follows the model's own distribution: a million responses of two tokens, the first and the pair,
 * against probabilities that libtorch computes from the weights.
 */
class SampledDistributionTest {
    private static final int ROUNDS = 20;
    private static final int PER_ROUND = 50_000;

    private static double[] softmax(float[] logits, int row, int vocab) {
        double[] p = new double[vocab];
        double sum = 0;
        for (int x = 0; x < vocab; x++) {
            p[x] = Math.exp(logits[row * vocab + x]);
            sum += p[x];
        }
        for (int x = 0; x < vocab; x++) {
            p[x] /= sum;
        }
        return p;
    }

    @Test
    void aMillionDrawsFollowTheModel() {
        try (Ops ops = Backends.open("cpu", 2)) {
            ModelConfig config = TestModels.actorConfig(true);
            int vocab = config.vocabSize();
            int[] prompt = {3, 14, 15, 9};
            try (Actor actor = TestModels.actor(ops, config, 41);
                 Drafter drafter = TestModels.drafter(ops, TestModels.drafterConfig(config), actor, 42);
                 RolloutEngine engine = new RolloutEngine(ops, actor, drafter, new RolloutLimits(256, 4, 2, 16, 0, 0),
                     SamplingParams.temperature(1f), 7, new StopRule(List.of(), List.of()), new FixedPolicy(new SpeculationPlan(2, 2, 3)), true,
                     1f)) {
                long[][] counts = new long[vocab][vocab];
                long speculated = 0;
                long requestSteps = 0;
                for (int round = 0; round < ROUNDS; round++) {
                    Rollout drawn = engine.generate(List.of(new PromptGroup(prompt, PER_ROUND, (long) round * PER_ROUND)));
                    drawn.trajectories().forEach(t -> counts[t.response()[0]][t.response()[1]]++);
                    speculated += drawn.stats().speculativeTokens();
                    requestSteps += drawn.stats().speculativeRequestSteps();
                }
                long total = (long) ROUNDS * PER_ROUND;
                assertTrue(speculated == 2 * total && requestSteps < speculated, "every token came from a tree, and some trees paid");
                double[] first;
                double[][] second = new double[vocab][];
                try (NDManager manager = NDManager.newBaseManager("PyTorch")) {
                    TorchQwen3 torch = new TorchQwen3(manager, actor.weights());
                    first = softmax(torch.actor(config, prompt, null).toFloatArray(), prompt.length - 1, vocab);
                    for (int x = 0; x < vocab; x++) {
                        second[x] = softmax(torch.actor(config, TestModels.join(prompt, new int[] {x}), null).toFloatArray(), prompt.length, vocab);
                    }
                }
                double chiFirst = 0;
                double chiPair = 0;
                int cells = 0;
                double restExpected = 0;
                double restCount = 0;
                for (int x = 0; x < vocab; x++) {
                    long seen = 0;
                    for (int y = 0; y < vocab; y++) {
                        seen += counts[x][y];
                        double expected = total * first[x] * second[x][y];
                        if (expected >= 10) {
                            chiPair += (counts[x][y] - expected) * (counts[x][y] - expected) / expected;
                            cells++;
                        } else {
                            restExpected += expected;
                            restCount += counts[x][y];
                        }
                    }
                    chiFirst += (seen - total * first[x]) * (seen - total * first[x]) / (total * first[x]);
                }
                if (restExpected > 0) {
                    chiPair += (restCount - restExpected) * (restCount - restExpected) / restExpected;
                    cells++;
                }
                System.out.printf("chi-square with speculation: first token %.1f (bound %.1f), pairs %.1f (bound %.1f), tokens a step %.2f%n",
                    chiFirst, ChiSquare.bound(vocab - 1), chiPair, ChiSquare.bound(cells - 1), (double) speculated / requestSteps);
                assertTrue(chiFirst < ChiSquare.bound(vocab - 1), "first token: " + chiFirst);
                assertTrue(chiPair < ChiSquare.bound(cells - 1), "pairs: " + chiPair);
            }
        }
    }
}

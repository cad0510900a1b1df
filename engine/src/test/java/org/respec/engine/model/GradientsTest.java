package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rl.SupervisedTrainer;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Forward values and every parameter gradient of the SFT, GRPO and KD losses against libtorch's autograd. */
class GradientsTest {
    private static final double LOGIT_TOLERANCE = 1e-4;
    private static final double GRADIENT_TOLERANCE = 1e-3;
    private static final AdamW.Settings NO_CLIP = new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 0f);

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void logitsAgree(boolean tied) {
        try (Ops ops = Backends.open("cpu", 2); NDManager manager = NDManager.newBaseManager("PyTorch")) {
            ModelConfig config = TestModels.actorConfig(tied);
            try (Actor actor = TestModels.actor(ops, config, 11); ActorTraining training = new ActorTraining(ops, actor, 100, 8)) {
                List<int[]> sequences = TestModels.sequences(config.vocabSize(), 5, 7, 1, 23, 12, 3);
                int rows = TestModels.fill(ops, training, sequences);
                training.forward(sequences.size(), rows);
                TorchQwen3 torch = new TorchQwen3(manager, actor.weights());
                int at = 0;
                double worst = 0;
                for (int[] tokens : sequences) {
                    float[] want = torch.actor(config, tokens, null).toFloatArray();
                    MemorySegment got = training.logits(at, at + tokens.length).host();
                    for (int i = 0; i < want.length; i++) {
                        float value = got.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                        worst = Math.max(worst, Math.abs(value - want[i]));
                    }
                    at += tokens.length;
                }
                System.out.printf(Locale.ROOT, "logits vs libtorch, tied=%s: %.1f %% of tolerance used%n", tied,
                    100 * worst / LOGIT_TOLERANCE);
                assertTrue(worst < LOGIT_TOLERANCE, "largest logit difference " + worst);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void supervisedGradientsAgree(boolean tied) {
        try (Ops ops = Backends.open("cpu", 2); NDManager manager = NDManager.newBaseManager("PyTorch")) {
            ModelConfig config = TestModels.actorConfig(tied);
            try (Actor actor = TestModels.actor(ops, config, 12);
                 AdamW optimizer = new AdamW(ops, actor.weights(), NO_CLIP);
                 SupervisedTrainer trainer = new SupervisedTrainer(ops, actor, optimizer, 128)) {
                List<SupervisedTrainer.Demonstration> batch = TestModels.sequences(config.vocabSize(), 9, 6, 14, 2, 31).stream()
                    .map(t -> new SupervisedTrainer.Demonstration(java.util.Arrays.copyOf(t, 1),
                        java.util.Arrays.copyOfRange(t, 1, t.length))).toList();
                double loss = trainer.gradients(batch);
                TorchQwen3 torch = new TorchQwen3(manager, actor.weights());
                try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
                    NDArray sum = null;
                    int tokens = 0;
                    for (SupervisedTrainer.Demonstration d : batch) {
                        int[] all = TestModels.join(d.prompt(), d.response());
                        NDArray term = responseLogProbs(manager, torch.actor(config, java.util.Arrays.copyOf(all, all.length - 1), null),
                            all, d.prompt().length, 1).sum().neg();
                        sum = sum == null ? term : sum.add(term);
                        tokens += d.response().length;
                    }
                    NDArray mean = sum.div(TorchQwen3.scalar(manager, tokens));
                    collector.backward(mean);
                    assertEquals(mean.getFloat(), loss, 1e-4);
                }
                compare("SFT tied=" + tied, torch.parameters(), optimizer.gradients());
            }
        }
    }

    /** @param cap of importance weights: 0 for none; the smaller one truncates many, the larger one none */
    @ParameterizedTest
    @CsvSource({"true,0", "false,0", "true,1.1", "false,1.1", "false,9"})
    void policyGradientsAgree(boolean perSequence, float cap) {
        try (Ops ops = Backends.open("cpu", 2); NDManager manager = NDManager.newBaseManager("PyTorch")) {
            ModelConfig config = TestModels.actorConfig(true);
            float temperature = 0.8f;
            PolicyLoss loss = new PolicyLoss(0.2f, 0.28f, 0.05f);
            try (Actor actor = TestModels.actor(ops, config, 13); Actor reference = TestModels.actor(ops, config, 14);
                 AdamW optimizer = new AdamW(ops, actor.weights(), NO_CLIP);
                 PolicyTrainer trainer = new PolicyTrainer(ops, actor, reference, optimizer, loss,
                     new PolicyTrainer.Schedule(1, 1, perSequence, SamplingParams.temperature(temperature), cap), 40)) {
                SplittableRandom random = new SplittableRandom(5);
                TorchQwen3 torch = new TorchQwen3(manager, actor.weights());
                TorchQwen3 torchReference = new TorchQwen3(manager, reference.weights());
                java.util.ArrayList<Trajectory> trajectories = new java.util.ArrayList<>();
                List<int[]> sequences = TestModels.sequences(config.vocabSize(), 9, 16, 25, 21, 12, 4);
                float[] advantages = new float[sequences.size()];
                for (int i = 0; i < sequences.size(); i++) {
                    int[] tokens = sequences.get(i);
                    int[] prompt = java.util.Arrays.copyOf(tokens, 3);
                    int[] response = java.util.Arrays.copyOfRange(tokens, 3, tokens.length);
                    float[] old = responseLogProbs(manager, torch.actor(config, java.util.Arrays.copyOf(tokens, tokens.length - 1), null),
                        tokens, 3, temperature).toFloatArray();
                    for (int j = 0; j < old.length; j++) {
                        old[j] += (float) (0.6 * (random.nextDouble() - 0.5));
                    }
                    advantages[i] = (float) (random.nextDouble() * 2 - 1);
                    trajectories.add(new Trajectory(i, 0, i, prompt, response, old, true, null));
                }
                double value = trainer.accumulate(trajectories, advantages);
                try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
                    NDArray total = manager.create(0f);
                    long tokens = trajectories.stream().mapToLong(t -> t.response().length).sum();
                    for (int i = 0; i < trajectories.size(); i++) {
                        Trajectory t = trajectories.get(i);
                        int[] all = TestModels.join(t.prompt(), t.response());
                        int[] inputs = java.util.Arrays.copyOf(all, all.length - 1);
                        NDArray now = responseLogProbs(manager, torch.actor(config, inputs, null), all, 3, temperature);
                        NDArray anchor = manager.create(
                            responseLogProbs(manager, torchReference.actor(config, inputs, null), all, 3, temperature).toFloatArray());
                        NDArray drawn = manager.create(t.logProbs());
                        // Constants to the gradient: what ratios are relative to, and the importance weights.
                        NDArray old = cap == 0 ? drawn : manager.create(now.toFloatArray());
                        NDArray ratio = now.sub(old).exp();
                        NDArray importance = cap == 0 ? drawn.onesLike() : old.sub(drawn).exp().minimum(cap);
                        NDArray cut = ratio.maximum(TorchQwen3.scalar(manager, 0.8)).minimum(TorchQwen3.scalar(manager, 1.28));
                        NDArray advantage = TorchQwen3.scalar(manager, advantages[i]);
                        NDArray policy = ratio.mul(advantage).minimum(cut.mul(advantage)).neg();
                        NDArray gap = anchor.sub(now);
                        NDArray each = policy.add(gap.exp().sub(gap).sub(1).mul(TorchQwen3.scalar(manager, 0.05))).mul(importance);
                        double weight = perSequence ? 1.0 / ((double) trajectories.size() * t.response().length) : 1.0 / tokens;
                        total = total.add(each.sum().mul(TorchQwen3.scalar(manager, weight)));
                    }
                    collector.backward(total);
                    assertEquals(total.toType(ai.djl.ndarray.types.DataType.FLOAT64, false).getDouble(), value, 1e-4);
                }
                compare("GRPO perSequence=" + perSequence + ", cap " + cap, torch.parameters(), optimizer.gradients());
            }
        }
    }

    /** Also where the logits of few rows exist at a time. */
    @ParameterizedTest
    @ValueSource(ints = {40, 30, 7, 1})
    void distillationGradientsAgree(int logitRows) {
        try (Ops ops = Backends.open("cpu", 2); NDManager manager = NDManager.newBaseManager("PyTorch")) {
            ModelConfig actorConfig = TestModels.actorConfig(true);
            DrafterConfig config = TestModels.drafterConfig(actorConfig);
            int unroll = 3;
            int topK = 4;
            float temperature = 0.9f;
            int[] lengths = {9, 4, 17};
            int rows = 30;
            try (Actor actor = TestModels.actor(ops, actorConfig, 15); Drafter drafter = TestModels.drafter(ops, config, actor, 16);
                 ParameterSet gradients = new ParameterSet(ops, "gradients", drafter.weights().specs());
                 DrafterTraining training = new DrafterTraining(ops, drafter, 40, 8, unroll, topK, logitRows)) {
                SplittableRandom random = new SplittableRandom(6);
                float[] features = new float[rows * 3 * actorConfig.hiddenSize()];
                for (int i = 0; i < features.length; i++) {
                    features[i] = (float) (random.nextDouble() - 0.5);
                }
                MemorySegment.copy(features, 0, training.features().host().host(), ValueLayout.JAVA_FLOAT, 0, features.length);
                int vocab = actorConfig.vocabSize();
                int[][] tokens = new int[unroll][rows];
                int[][] ids = new int[unroll][rows * topK];
                float[][] logProbs = new float[unroll][rows * topK];
                float[][] tails = new float[unroll][rows];
                float[][] weights = new float[unroll][rows];
                PassFiller filler = new PassFiller(training.step(0).tokens(), training.spans());
                for (int s = 0; s < unroll; s++) {
                    for (int r = 0; r < rows; r++) {
                        tokens[s][r] = random.nextInt(vocab);
                        weights[s][r] = r % 5 == 2 ? 0f : (float) random.nextDouble();
                        double left = 1;
                        int first = random.nextInt(vocab);
                        for (int k = 0; k < topK; k++) {
                            ids[s][r * topK + k] = (first + k * 3) % vocab;
                            double p = left * (0.2 + 0.5 * random.nextDouble());
                            left -= p;
                            logProbs[s][r * topK + k] = (float) Math.log(p);
                        }
                        tails[s][r] = (float) Math.log(left);
                    }
                }
                int at = 0;
                for (int length : lengths) {
                    filler.beginSequence();
                    for (int i = 0; i < length; i++) {
                        filler.addRow(tokens[0][at++]);
                    }
                }
                filler.push(ops);
                for (int s = 0; s < unroll; s++) {
                    DrafterTraining.Step step = training.step(s);
                    MemorySegment.copy(tokens[s], 0, step.tokens().host().host(), ValueLayout.JAVA_INT, 0, rows);
                    MemorySegment.copy(ids[s], 0, step.teacherIds().host().host(), ValueLayout.JAVA_INT, 0, rows * topK);
                    MemorySegment.copy(logProbs[s], 0, step.teacherLogProbs().host().host(), ValueLayout.JAVA_FLOAT, 0, rows * topK);
                    MemorySegment.copy(tails[s], 0, step.teacherTails().host().host(), ValueLayout.JAVA_FLOAT, 0, rows);
                    MemorySegment.copy(weights[s], 0, step.weights().host().host(), ValueLayout.JAVA_FLOAT, 0, rows);
                }
                training.forward(lengths.length, rows);
                training.loss(temperature, 0f, gradients, rows);
                training.backward(gradients, lengths.length, rows);

                TorchQwen3 torch = new TorchQwen3(manager, drafter.weights());
                NDArray embedding = new TorchQwen3(manager, actor.weights()).parameter("model.embed_tokens.weight");
                try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
                    NDArray total = manager.create(0f);
                    int start = 0;
                    int width = 3 * actorConfig.hiddenSize();
                    for (int length : lengths) {
                        int[][] part = new int[unroll][];
                        for (int s = 0; s < unroll; s++) {
                            part[s] = java.util.Arrays.copyOfRange(tokens[s], start, start + length);
                        }
                        NDArray f = manager.create(java.util.Arrays.copyOfRange(features, start * width, (start + length) * width),
                            new Shape(length, width));
                        NDArray[] logits = torch.drafter(config, embedding, f, part);
                        for (int s = 0; s < unroll; s++) {
                            total = total.add(divergence(manager, logits[s].div(TorchQwen3.scalar(manager, temperature)), ids[s],
                                logProbs[s], tails[s], weights[s], start, length, topK, vocab));
                        }
                        start += length;
                    }
                    collector.backward(total);
                }
                compare("KD", torch.parameters(), gradients);
            }
        }
    }

    /** Weighted sum of KL over the top-k buckets and the rest. */
    private static NDArray divergence(NDManager manager, NDArray logits, int[] ids, float[] logProbs, float[] tails, float[] weights,
                                      int start, int length, int topK, int vocab) {
        NDArray q = logits.softmax(-1);
        float[] p = new float[length * vocab];
        float[] inside = new float[length * vocab];
        float[] tail = new float[length];
        float[] w = new float[length];
        double constant = 0;
        for (int r = 0; r < length; r++) {
            w[r] = weights[start + r];
            tail[r] = (float) Math.exp(tails[start + r]);
            constant += w[r] * tail[r] * tails[start + r];
            for (int k = 0; k < topK; k++) {
                int at = (start + r) * topK + k;
                p[r * vocab + ids[at]] = (float) Math.exp(logProbs[at]);
                inside[r * vocab + ids[at]] = 1;
                constant += w[r] * Math.exp(logProbs[at]) * logProbs[at];
            }
        }
        NDArray mask = manager.create(inside, new Shape(length, vocab));
        NDArray rest = q.mul(mask.neg().add(1)).sum(new int[] {1}).log().mul(manager.create(tail));
        NDArray named = q.log().mul(manager.create(p, new Shape(length, vocab))).sum(new int[] {1});
        return named.add(rest).mul(manager.create(w)).sum().neg().add(constant);
    }

    /** Log-probabilities of the response's tokens. */
    private static NDArray responseLogProbs(NDManager manager, NDArray logits, int[] tokens, int promptLength, float temperature) {
        int from = promptLength - 1;
        int count = tokens.length - promptLength;
        NDArray logSoftmax = logits.get(from + ":" + (from + count)).div(TorchQwen3.scalar(manager, temperature)).logSoftmax(-1);
        int[] targets = java.util.Arrays.copyOfRange(tokens, promptLength, tokens.length);
        NDArray oneHot = manager.create(targets).oneHot((int) logits.getShape().get(1)).toType(DataType.FLOAT32, false);
        return logSoftmax.mul(oneHot).sum(new int[] {1});
    }

    private static void compare(String what, Map<String, NDArray> want, ParameterSet got) {
        MemorySegment bytes = got.download();
        long at = 0;
        double worst = 0;
        for (TensorSpec spec : got.specs()) {
            float[] expected = want.get(spec.name()).getGradient().toFloatArray();
            double difference = 0;
            double norm = 0;
            for (float e : expected) {
                float value = bytes.getAtIndex(ValueLayout.JAVA_FLOAT, at++);
                difference += (value - e) * (double) (value - e);
                norm += e * (double) e;
            }
            double relative = Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-8);
            worst = Math.max(worst, relative);
            assertTrue(Double.isFinite(norm), what + ": libtorch's gradient of " + spec.name() + " has a norm of " + norm);
            assertTrue(norm > 0, what + ": libtorch's gradient of " + spec.name() + " is zero, so the test would show nothing");
            assertTrue(relative < GRADIENT_TOLERANCE, what + ": gradient of " + spec.name() + " differs by a relative " + relative);
        }
        System.out.printf(Locale.ROOT, "%s gradients vs libtorch: %.1f %% of tolerance used%n", what, 100 * worst / GRADIENT_TOLERANCE);
    }
}

package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;

/** The fused policy-gradient loss against differences of the loss that {@link PolicyTerms} describes. */
class CpuPolicyLossTest {
    private static final float LOW = 0.2f;
    private static final float HIGH = 0.3f;
    private static final float KL = 0.4f;
    private static final float CAP = 1.2f;

    /** @param mode a bit each for old, reference and rollout log-probabilities */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7})
    void gradientIsTheLosss(int mode) {
        int rows = 60;
        int vocab = 17;
        float temperature = 0.8f;
        long seed = 1400 + mode;
        try (TestTensors t = new TestTensors(seed); Closeness close = new Closeness("policyLoss " + mode, seed)) {
            SplittableRandom random = new SplittableRandom(seed);
            Tensor logits = t.normal(rows, vocab, 3, 2);
            Tensor before = t.copy(logits);
            Tensor targets = t.randomInts(rows, vocab);
            Tensor advantages = t.normal(1, rows);
            Tensor weights = t.poisoned(1, rows);
            Tensor old = t.poisoned(1, rows);
            Tensor reference = t.poisoned(1, rows);
            Tensor rollout = t.poisoned(1, rows);
            double[] wantLogProbs = new double[rows];
            double[] wantGradient = new double[rows * vocab];
            int clipped = 0;
            int capped = 0;
            for (int r = 0; r < rows; r++) {
                double[] z = Differences.row(logits, r);
                int target = TestTensors.getInt(targets, 0, r);
                double now = Softmaxes.logSoftmax(z, temperature)[target];
                TestTensors.set(weights, 0, r, r % 6 == 4 ? 0f : random.nextFloat() + 0.1f);
                TestTensors.set(old, 0, r, (float) now + random.nextFloat() - 0.5f);
                TestTensors.set(reference, 0, r, (float) now + random.nextFloat() - 0.5f);
                TestTensors.set(rollout, 0, r, (float) now + random.nextFloat() - 0.5f);
                double weight = TestTensors.get(weights, 0, r);
                double advantage = TestTensors.get(advantages, 0, r);
                double anchor = (mode & 1) == 0 ? now : TestTensors.get(old, 0, r);
                double ref = TestTensors.get(reference, 0, r);
                double ratioNow = Math.exp(now - anchor);
                clipped += ratioNow < 1 - LOW || ratioNow > 1 + HIGH ? 1 : 0;
                double importance = (mode & 4) == 0 ? 1 : Math.min(Math.exp(anchor - TestTensors.get(rollout, 0, r)), CAP);
                capped += importance == CAP ? 1 : 0;
                if (weight == 0) {
                    continue;
                }
                wantLogProbs[r] = now;
                double[] slope = Differences.gradient(z, x -> {
                    double l = Softmaxes.logSoftmax(x, temperature)[target];
                    double ratio = Math.exp(l - anchor);
                    double cut = Math.min(Math.max(ratio, 1 - LOW), 1 + HIGH);
                    double gap = ref - l;
                    double policy = -Math.min(ratio * advantage, cut * advantage);
                    return weight * importance * (policy + ((mode & 2) == 0 ? 0 : KL * (Math.exp(gap) - gap - 1)));
                });
                System.arraycopy(slope, 0, wantGradient, r * vocab, vocab);
            }
            PolicyTerms terms = new PolicyTerms(weights, advantages, (mode & 1) == 0 ? null : old, (mode & 2) == 0 ? null : reference,
                (mode & 4) == 0 ? null : rollout, LOW, HIGH, KL, CAP);
            Tensor logProbs = t.poisoned(1, rows);
            Tensor gradient = t.poisoned(rows, vocab);
            SharedOps.on(2).policyLoss(logits, targets, temperature, terms, logProbs, gradient, rows);
            close.check(wantLogProbs, logProbs, 1e-6, 2e-6);
            close.check(wantGradient, gradient, 1e-4, 3e-6);
            t.assertSameBits(before, logits);
            SharedOps.on(2).policyLoss(logits, targets, temperature, terms, logProbs, logits, rows);
            t.assertSameBits(gradient, logits);
            assertEquals((mode & 1) != 0, clipped > 5, clipped + " ratios are clipped");
            assertEquals((mode & 4) != 0, capped > 5, capped + " weights are capped");
            t.checkGuards();
        }
    }

    /** Without old log-probabilities and with advantages of 1 it is cross-entropy. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 401})
    void withoutTermsItIsCrossEntropy(int vocab) {
        int rows = 7;
        try (TestTensors t = new TestTensors(1500 + vocab)) {
            Tensor logits = t.normal(rows, vocab, 0, 2);
            Tensor want = t.copy(logits);
            Tensor targets = t.randomInts(rows, vocab);
            Tensor weights = t.poisoned(1, rows);
            Tensor negative = t.poisoned(1, rows);
            Tensor ones = t.poisoned(1, rows);
            for (int r = 0; r < rows; r++) {
                TestTensors.set(weights, 0, r, 0.3f * r);
                TestTensors.set(negative, 0, r, -0.3f * r);
                TestTensors.set(ones, 0, r, 1f);
            }
            SharedOps.on(1).policyLoss(logits, targets, 1f, PolicyTerms.crossEntropy(weights, ones), t.poisoned(1, rows), logits, rows);
            SharedOps.on(1).logProbsBackward(want, targets, 1f, negative, rows);
            t.assertSameBits(want, logits);
        }
    }
}

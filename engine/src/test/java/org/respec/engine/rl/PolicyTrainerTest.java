package org.respec.engine.rl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Mismatch between rollout and training: measured, and corrected by importance weights. */
class PolicyTrainerTest {
    private static final ModelConfig CONFIG = TestModels.actorConfig(true);
    private static final float TEMPERATURE = 0.9f;
    private static final int PROMPT = 3;

    private record Outcome(PolicyTrainer.Report report, float[] weights) {
    }

    private static List<Trajectory> trajectories(float[][] logProbs) {
        List<Trajectory> trajectories = new ArrayList<>();
        List<int[]> sequences = TestModels.sequences(CONFIG.vocabSize(), 9, 16, 25, 21, 12, 4);
        for (int i = 0; i < sequences.size(); i++) {
            int[] tokens = sequences.get(i);
            int[] response = Arrays.copyOfRange(tokens, PROMPT, tokens.length);
            trajectories.add(new Trajectory(i, 0, i, Arrays.copyOf(tokens, PROMPT), response,
                logProbs == null ? new float[response.length] : logProbs[i], true, null));
        }
        return trajectories;
    }

    private static Outcome update(Ops ops, float[][] logProbs, int miniBatches, int epochs, float cap) {
        return update(ops, logProbs, new PolicyTrainer.Schedule(miniBatches, epochs, false, SamplingParams.temperature(TEMPERATURE), cap));
    }

    private static Outcome update(Ops ops, float[][] logProbs, PolicyTrainer.Schedule schedule) {
        return update(ops, logProbs, new float[] {0.7f, -0.4f, 0.3f, -0.9f, 1.1f}, schedule);
    }

    private static Outcome update(Ops ops, float[][] logProbs, float[] advantages, int miniBatches) {
        return update(ops, logProbs, advantages,
            new PolicyTrainer.Schedule(miniBatches, 1, false, SamplingParams.temperature(TEMPERATURE)));
    }

    private static Outcome update(Ops ops, float[][] logProbs, float[] advantages, PolicyTrainer.Schedule schedule) {
        try (Actor actor = TestModels.actor(ops, CONFIG, 13);
             AdamW optimizer = new AdamW(ops, actor.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 1f));
             PolicyTrainer trainer = new PolicyTrainer(ops, actor, null, optimizer, new PolicyLoss(0.2f, 0.2f, 0f),
                 schedule, 40)) {
            PolicyTrainer.Report report = trainer.update(trajectories(logProbs), advantages, 1e-2f);
            return new Outcome(report, actor.weights().download().toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    /** What training says about the responses with the weights that the updates begin from. */
    private static float[][] exact(Ops ops) {
        List<Trajectory> all = trajectories(null);
        float[][] exact = new float[all.size()][];
        try (Actor actor = TestModels.actor(ops, CONFIG, 13);
             PolicyRows rows = new PolicyRows(ops, 40);
             ActorTraining training = new ActorTraining(ops, actor, 40, 40, ActorTraining.Keep.NOTHING)) {
            for (int i = 0; i < exact.length; i++) {
                Trajectory t = all.get(i);
                var filler = new org.respec.engine.model.PassFiller(training.tokens(), training.spans());
                filler.beginSequence();
                for (int p = 0; p < t.length() - 1; p++) {
                    rows.target(p, t.token(p + 1));
                    filler.addRow(t.token(p));
                }
                filler.push(ops);
                rows.pushTargets(t.length() - 1);
                training.forward(1, t.length() - 1);
                training.logProbs(rows.targets(), TEMPERATURE, rows.logProbs(), t.length() - 1);
                exact[i] = Arrays.copyOfRange(rows.pullLogProbs(t.length() - 1), PROMPT - 1, t.length() - 1);
            }
        }
        return exact;
    }

    private static float[][] shifted(float[][] logProbs, float by) {
        float[][] shifted = new float[logProbs.length][];
        for (int i = 0; i < shifted.length; i++) {
            shifted[i] = logProbs[i].clone();
            for (int t = 0; t < shifted[i].length; t++) {
                shifted[i][t] += t % 2 == 0 ? by : -by;
            }
        }
        return shifted;
    }

    /** Where rollout and training agree to the bit the weights are 1, and correction changes no bit, with one step or several. */
    @Test
    void weightsOfOneChangeNothing() {
        try (Ops ops = Backends.open("cpu", 2)) {
            float[][] exact = exact(ops);
            for (int[] steps : new int[][] {{1, 1}, {2, 1}, {2, 3}}) {
                Outcome plain = update(ops, exact, steps[0], steps[1], 0);
                Outcome corrected = update(ops, exact, steps[0], steps[1], 2);
                assertEquals(new Mismatch(0, 0, 0), plain.report.mismatch());
                assertEquals(plain.report, corrected.report);
                assertArrayEquals(plain.weights, corrected.weights);
            }
        }
    }

    /**
     * Where sampling left tokens out, the rollout's log-probabilities are larger than training's by what was left out of each: that is no
     * reason to clip, and changes no bit. With importance weights it counts, as the draw was not from all tokens.
     */
    @Test
    void tokensThatSamplingLeftOutClipNothing() {
        try (Ops ops = Backends.open("cpu", 2)) {
            float[][] exact = exact(ops);
            float[][] kept = exact.clone();
            for (int i = 0; i < kept.length; i++) {
                kept[i] = exact[i].clone();
                for (int t = 0; t < kept[i].length; t++) {
                    kept[i][t] += 0.05f + 0.5f * (t % 3);
                }
            }
            SamplingParams filtered = new SamplingParams(TEMPERATURE, 5, 0.9f);
            for (int[] steps : new int[][] {{1, 1}, {2, 1}, {2, 3}}) {
                Outcome plain = update(ops, exact, steps[0], steps[1], 0);
                Outcome left = update(ops, kept, new PolicyTrainer.Schedule(steps[0], steps[1], false, filtered));
                assertArrayEquals(plain.weights, left.weights);
                assertEquals(plain.report.loss(), left.report.loss());
                assertEquals(plain.report.clipFraction(), left.report.clipFraction());
                Outcome weighed = update(ops, kept, new PolicyTrainer.Schedule(steps[0], steps[1], false, filtered, 2));
                assertFalse(Arrays.equals(plain.weights, weighed.weights));
            }
        }
    }

    @Test
    void mismatchIsMeasured() {
        try (Ops ops = Backends.open("cpu", 2)) {
            float[][] exact = exact(ops);
            for (float cap : new float[] {0, 2}) {
                Mismatch m = update(ops, shifted(exact, 0.25f), 1, 1, cap).report.mismatch();
                assertEquals(0.25, m.mean(), 1e-6);
                assertEquals(0.25, m.max(), 1e-6);
                // exp(d) - d - 1 at d = -0.25 and 0.25, of which the first token of each response, and so no fewer, has the former.
                double low = Math.exp(-0.25) + 0.25 - 1;
                double high = Math.exp(0.25) - 0.25 - 1;
                long tokens = Arrays.stream(exact).mapToLong(x -> x.length).sum();
                long even = Arrays.stream(exact).mapToLong(x -> (x.length + 1) / 2).sum();
                assertEquals((even * low + (tokens - even) * high) / tokens, m.kl(), 1e-6);
            }
        }
    }

    /** Several steps: the first one's ratios are 1 with a correction, whatever the rollout said, and not without. */
    @Test
    void correctedRatiosAreRelativeToTraining() {
        try (Ops ops = Backends.open("cpu", 2)) {
            float[][] far = shifted(exact(ops), 0.25f);
            assertEquals(0, update(ops, far, 1, 1, 2).report.clipFraction());
            double uncorrected = update(ops, far, 1, 1, 0).report.clipFraction();
            assertTrue(uncorrected > 0.3, "clipped without correction: " + uncorrected);
            assertTrue(update(ops, far, 2, 1, 2).report.clipFraction() < uncorrected);
        }
    }

    /** Without a KL term responses of advantage 0 are not looked at; what nothing was looked at for is unknown, and not 0. */
    @Test
    void nothingComparedIsNoMismatch() {
        try (Ops ops = Backends.open("cpu", 2)) {
            float[][] far = shifted(exact(ops), 0.25f);
            PolicyTrainer.Report none = update(ops, far, new float[5], 2).report;
            assertNull(none.mismatch());
            assertTrue(Double.isNaN(none.clipFraction()), none.toString());
            assertEquals(0, none.skippedSteps());
            // The first of two mini-batches has two responses; the weights that the second one meets may be others.
            PolicyTrainer.Report late = update(ops, far, new float[] {0, 0, 0.3f, -0.9f, 1.1f}, 2).report;
            assertNull(late.mismatch());
            assertTrue(late.clipFraction() > 0, late.toString());
            PolicyTrainer.Report early = update(ops, far, new float[] {0.3f, -0.9f, 0, 0, 0}, 2).report;
            assertEquals(0.25, early.mismatch().mean(), 1e-6);
        }
    }

    /** A step whose gradient is not finite changes no weight and is counted; the others are taken, and told of. */
    @Test
    void stepsThatAreNotFiniteAreCounted() {
        try (Ops ops = Backends.open("cpu", 2)) {
            float[][] broken = exact(ops);
            // Of advantage -0.4: no clip holds a ratio back that is infinite.
            Arrays.fill(broken[1], -1e30f);
            Outcome all = update(ops, broken, 1, 2, 0);
            assertEquals(2, all.report.skippedSteps());
            assertTrue(Double.isNaN(all.report.gradNorm()) && Double.isNaN(all.report.loss()), all.report.toString());
            try (Actor untrained = TestModels.actor(ops, CONFIG, 13)) {
                assertArrayEquals(untrained.weights().download().toArray(ValueLayout.JAVA_FLOAT), all.weights);
            }
            Outcome half = update(ops, broken, 2, 1, 0);
            assertEquals(1, half.report.skippedSteps());
            assertTrue(half.report.gradNorm() > 0 && Double.isFinite(half.report.gradNorm()) && Double.isFinite(half.report.loss()),
                half.report.toString());
            assertEquals(0, update(ops, exact(ops), 2, 1, 0).report.skippedSteps());
        }
    }
}

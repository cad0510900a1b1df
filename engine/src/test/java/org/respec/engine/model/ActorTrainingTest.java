package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.TensorArena;

/** Logits in pieces and activations that are computed again change nothing but memory. */
class ActorTrainingTest {
    private static final ModelConfig CONFIG = TestModels.actorConfig(true);
    private static final int ROWS = 46;

    private record Outcome(float[] gradients, float[] logProbs) {
    }

    private static Outcome run(Ops ops, ActorTraining.Keep keep, int logitRows) {
        List<int[]> sequences = TestModels.sequences(CONFIG.vocabSize(), 5, 7, 1, 23, 12, 3);
        try (Actor actor = TestModels.actor(ops, CONFIG, 11);
             ActorTraining training = new ActorTraining(ops, actor, 100, 8, keep, logitRows);
             ParameterSet gradients = new ParameterSet(ops, "gradients", actor.weights().specs());
             TensorArena arena = ops.arena("test")) {
            assertEquals(ROWS, TestModels.fill(ops, training, sequences));
            HostMirror targets = arena.mirror(DType.I32, 1, ROWS);
            HostMirror weights = arena.mirror(DType.F32, 1, ROWS);
            HostMirror advantages = arena.mirror(DType.F32, 1, ROWS);
            HostMirror logProbs = arena.mirror(DType.F32, 1, ROWS);
            SplittableRandom random = new SplittableRandom(3);
            for (int r = 0; r < ROWS; r++) {
                targets.host().host().setAtIndex(ValueLayout.JAVA_INT, r, random.nextInt(CONFIG.vocabSize()));
                weights.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, r, r % 7 == 3 ? 0 : 0.02f);
                advantages.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, r, random.nextFloat() - 0.5f);
            }
            ops.push(targets, ROWS);
            ops.push(weights, ROWS);
            ops.push(advantages, ROWS);
            training.forward(sequences.size(), ROWS);
            if (keep == ActorTraining.Keep.NOTHING) {
                training.logProbs(targets.device(), 1f, logProbs.device(), ROWS);
            } else {
                PolicyTerms terms = new PolicyTerms(weights.device(), advantages.device(), null, null, null, 0.2f, 0.2f, 0, 0);
                training.loss(targets.device(), 1f, terms, logProbs.device(), gradients, ROWS);
                training.backward(gradients, sequences.size(), ROWS);
            }
            ops.pull(logProbs, ROWS);
            return new Outcome(gradients.download().toArray(ValueLayout.JAVA_FLOAT),
                logProbs.host().host().toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    @Test
    void layersComputedAgainAreTheSame() {
        try (Ops ops = Backends.open("cpu", 2)) {
            Outcome all = run(ops, ActorTraining.Keep.ALL, 100);
            Outcome again = run(ops, ActorTraining.Keep.INPUTS, 100);
            assertArrayEquals(all.gradients, again.gradients);
            assertArrayEquals(all.logProbs, again.logProbs);
        }
    }

    @Test
    void logitsInPiecesGiveTheSameGradient() {
        try (Ops ops = Backends.open("cpu", 2)) {
            Outcome whole = run(ops, ActorTraining.Keep.ALL, 100);
            assertTrue(norm(whole.gradients) > 1e-3);
            for (int logitRows : new int[] {1, 16, 17, 45}) {
                Outcome pieces = run(ops, ActorTraining.Keep.ALL, logitRows);
                assertArrayEquals(whole.logProbs, pieces.logProbs, 0f, "a row's bits do not depend on how many share a product");
                double[] difference = new double[whole.gradients.length];
                for (int i = 0; i < difference.length; i++) {
                    difference[i] = whole.gradients[i] - pieces.gradients[i];
                }
                double relative = Math.sqrt(Arrays.stream(difference).map(d -> d * d).sum()) / norm(whole.gradients);
                assertTrue(relative < 1e-5, logitRows + " rows at a time: gradients differ by a relative " + relative);
            }
            float[] forward = run(ops, ActorTraining.Keep.NOTHING, 16).logProbs;
            for (int r = 0; r < ROWS; r++) {
                // Rows of weight 0 have none where there is a loss.
                if (r % 7 != 3) {
                    assertEquals(whole.logProbs[r], forward[r], "row " + r);
                }
            }
        }
    }

    private static double norm(float[] values) {
        double sum = 0;
        for (float value : values) {
            sum += value * (double) value;
        }
        return Math.sqrt(sum);
    }
}

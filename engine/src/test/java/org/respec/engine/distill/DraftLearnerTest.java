package org.respec.engine.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.SmallModel;
import org.respec.engine.model.TestModels;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.Rollouts;
import org.respec.engine.rollout.StopRule;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Updates of a tiny drafter over real by-products: whole or not at all, and as many rows as was asked for. */
class DraftLearnerTest {
    private static final int TOP_K = 5;

    /** A drafter, its learner and a filled buffer. */
    private static final class Scene implements AutoCloseable {
        private final SmallModel model = SmallModel.open(21);
        final Ops ops = model.ops();
        final Drafter drafter = model.drafter();
        final ReplayBuffer replay = new ReplayBuffer(400, 3 * model.config().hiddenSize(), TOP_K);
        final AdamW optimizer = new AdamW(ops, drafter.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 0.5f));
        final DraftLearner learner;

        Scene(DraftLearner.Settings settings) {
            learner = new DraftLearner(ops, drafter, optimizer, replay, 2, settings);
            List<PromptGroup> prompts = new ArrayList<>();
            for (int[] prompt : TestModels.sequences(model.config().vocabSize(), 31, 7, 3, 11)) {
                prompts.add(new PromptGroup(prompt, 3, 10L * prompts.size()));
            }
            try (RolloutEngine rollout = Rollouts.engine(ops, model.actor(), drafter, new RolloutLimits(5, 11, 20, 4, 0, TOP_K),
                SamplingParams.temperature(1f), new StopRule(List.of(3), List.of()), "off")) {
                rollout.generate(prompts).trajectories().forEach(t -> replay.add(t, 1f));
            }
        }

        float[] weights() {
            return floats(drafter.weights());
        }

        static float[] floats(ParameterSet set) {
            return set.download().toArray(ValueLayout.JAVA_FLOAT);
        }

        @Override
        public void close() {
            learner.close();
            optimizer.close();
            replay.close();
            model.close();
        }
    }

    private static DraftLearner.Settings settings(int steps, double share, float variation, int warmup) {
        return new DraftLearner.Settings(steps, 64, share, 0.8f, variation, 1f, 1e-2f, warmup, 5);
    }

    private static float[] after(DraftLearner.Settings settings, int updates) {
        try (Scene scene = new Scene(settings)) {
            for (int i = 0; i < updates; i++) {
                assertTrue(scene.learner.update(i).kept());
            }
            return scene.weights();
        }
    }

    @Test
    void anUpdateThatIsNotFiniteLeavesNothingBehind() {
        float[] undisturbed = after(settings(3, 1, 0f, 0), 2);
        try (Scene scene = new Scene(settings(3, 1, 0f, 0))) {
            scene.learner.update(0);
            float[] weights = scene.weights();
            float[] first = Scene.floats(scene.optimizer.firstMoments());
            float[] second = Scene.floats(scene.optimizer.secondMoments());
            // The last entry comes up in a later step than the first, so that there is something to undo.
            ReplayBuffer.Entry last = scene.replay.entries().getLast();
            long at = (long) last.start() * scene.replay.width();
            float value = scene.replay.features().getAtIndex(ValueLayout.JAVA_FLOAT, at);
            scene.replay.features().setAtIndex(ValueLayout.JAVA_FLOAT, at, Float.NaN);
            DraftLearner.Report report = scene.learner.update(1);
            assertFalse(report.kept());
            assertArrayEquals(weights, scene.weights());
            assertArrayEquals(first, Scene.floats(scene.optimizer.firstMoments()));
            assertArrayEquals(second, Scene.floats(scene.optimizer.secondMoments()));
            assertEquals(3, scene.optimizer.steps());
            scene.replay.features().setAtIndex(ValueLayout.JAVA_FLOAT, at, value);
            assertTrue(scene.learner.update(1).kept());
            assertArrayEquals(undisturbed, scene.weights());
        }
    }

    @Test
    void anUpdateThatThrowsLeavesNothingBehind() {
        float[] undisturbed = after(settings(3, 1, 0f, 0), 2);
        try (Scene scene = new Scene(settings(3, 1, 0f, 0))) {
            scene.learner.update(0);
            float[] weights = scene.weights();
            ReplayBuffer.Entry last = scene.replay.entries().getLast();
            long at = (last.start() + last.rows() - 1L) * TOP_K;
            int id = scene.replay.ids().getAtIndex(ValueLayout.JAVA_INT, at);
            scene.replay.ids().setAtIndex(ValueLayout.JAVA_INT, at, -7);
            assertThrows(IllegalArgumentException.class, () -> scene.learner.update(1));
            scene.replay.ids().setAtIndex(ValueLayout.JAVA_INT, at, id);
            scene.learner.settle();
            assertArrayEquals(weights, scene.weights());
            scene.learner.update(1);
            assertArrayEquals(undisturbed, scene.weights());
        }
    }

    @Test
    void onePassTakesEveryRowOnce() {
        try (Scene scene = new Scene(settings(0, 1, 0f, 0))) {
            assertEquals(scene.replay.rows(), scene.learner.update(0).rows());
        }
        try (Scene scene = new Scene(settings(0, 0.4, 0f, 0))) {
            long rows = scene.learner.update(0).rows();
            List<ReplayBuffer.Entry> entries = scene.replay.entries();
            long newest = 0;
            for (int i = entries.size() - 1; newest < 0.4 * scene.replay.rows(); i--) {
                newest += entries.get(i).rows();
            }
            assertEquals(newest, rows);
            assertTrue(rows < scene.replay.rows());
        }
    }

    /** Every setting changes what is learnt, and a warm-up's first step is a small one. */
    @Test
    void settingsCount() {
        float[] before = after(settings(1, 1, 0f, 0), 0);
        float[] plain = after(settings(1, 1, 0f, 0), 1);
        float[] warm = after(settings(1, 1, 0f, 10), 1);
        assertTrue(distance(before, plain) > 0);
        double ratio = distance(before, warm) / distance(before, plain);
        assertEquals(0.1, ratio, 1e-3);
        assertTrue(distance(plain, after(settings(1, 1, 0.5f, 0), 1)) > 0);
        assertTrue(distance(plain, after(settings(1, 0.3, 0f, 0), 1)) > 0);
    }

    private static double distance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
        }
        return Math.sqrt(sum);
    }

    /** Steps go down along the likeness of what was learnt: a loss of total variation falls too. */
    @Test
    void totalVariationIsLearnt() {
        try (Scene scene = new Scene(settings(3, 1, 1f, 0))) {
            double first = scene.learner.update(0).divergence();
            double last = 0;
            for (int i = 1; i < 12; i++) {
                last = scene.learner.update(i).divergence();
            }
            assertTrue(last < 0.8 * first, "total variation " + first + " at first, then " + last);
        }
    }
}

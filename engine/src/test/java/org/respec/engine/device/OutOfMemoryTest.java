package org.respec.engine.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.engine.BadInput;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.gpu.GpuOps;

/** A device without memory for training passes of the size asked for gets smaller ones, and the run what it would have had with those. */
class OutOfMemoryTest {
    private static final ModelConfig CONFIG = new ModelConfig(41, 64, 96, 3, 2, 1, 32, 1e-6, 10000, 256, true, List.of(1), 0);
    private static final long AMPLE = 1L << 30;
    private static final int LONGEST = 60;

    private record Outcome(float[] weights, int maxRows, PolicyTrainer.Report report) {
    }

    private static Ops device(long bytes) {
        try {
            return new GpuOps(EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false).withMemoryBytes(bytes)));
        } catch (GpuException e) {
            return abort(e.getMessage());
        }
    }

    private static List<Trajectory> trajectories() {
        List<Trajectory> trajectories = new ArrayList<>();
        for (int[] tokens : TestModels.sequences(CONFIG.vocabSize(), 9, 16, 25, LONGEST + 1, 12, 40, 33)) {
            float[] logProbs = new float[tokens.length - 3];
            Arrays.fill(logProbs, -3f);
            trajectories.add(new Trajectory(trajectories.size(), 0, 0, Arrays.copyOf(tokens, 3),
                Arrays.copyOfRange(tokens, 3, tokens.length), logProbs, true, null));
        }
        return trajectories;
    }

    private static Outcome train(Ops ops, int maxRows, boolean lasting) {
        try (Actor actor = TestModels.actor(ops, CONFIG, 13);
             AdamW optimizer = new AdamW(ops, actor.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 1f));
             PolicyTrainer trainer = new PolicyTrainer(ops, actor, null, optimizer, new PolicyLoss(0.2f, 0.2f, 0f),
                 new PolicyTrainer.Schedule(2, 1, false, SamplingParams.temperature(1f), 2f), maxRows, ActorTraining.Keep.ALL, lasting)) {
            PolicyTrainer.Report report = null;
            for (int i = 0; i < 2; i++) {
                report = trainer.update(trajectories(), new float[] {0.7f, -0.4f, 0.3f, -0.9f, 1.1f, 0.2f}, 1e-2f);
            }
            return new Outcome(actor.weights().download().toArray(ValueLayout.JAVA_FLOAT), trainer.maxRows(), report);
        }
    }

    /** Bytes that a run with passes of so many rows takes at most, and what it gives. */
    private static long used(int maxRows) {
        try (Ops ops = device(AMPLE); Actor actor = TestModels.actor(ops, CONFIG, 13);
             AdamW optimizer = new AdamW(ops, actor.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 1f));
             ActorTraining passes = new ActorTraining(ops, actor, maxRows, maxRows)) {
            return AMPLE - ops.freeBytes();
        }
    }

    @Test
    void passesShrinkUntilTheyFit() {
        // Enough for 150 rows with what kernels take for themselves, not for 500.
        long enough = used(150) + (1 << 20);
        assertTrue(used(500) > enough);
        for (boolean lasting : new boolean[] {true, false}) {
            Outcome shrunk;
            try (Ops ops = device(enough)) {
                shrunk = train(ops, 1000, lasting);
            }
            assertTrue(shrunk.maxRows >= LONGEST && shrunk.maxRows < 500, "passes of " + shrunk.maxRows + " rows");
            try (Ops ops = device(AMPLE)) {
                Outcome whole = train(ops, 1000, true);
                assertEquals(1000, whole.maxRows);
                Outcome small = train(ops, shrunk.maxRows, true);
                assertArrayEquals(small.weights, shrunk.weights, "the same as with passes of that size from the start");
                assertEquals(small.report, shrunk.report);
                assertEquals(whole.report.gradNorm(), shrunk.report.gradNorm(), 1e-4 * whole.report.gradNorm());
            }
        }
    }

    @Test
    void whatCanNeverFitIsSaid() {
        try (Ops ops = device(used(30) + (1 << 16))) {
            BadInput refused = assertThrows(BadInput.class, () -> train(ops, 1000, true));
            assertTrue(refused.getMessage().contains("train.checkpoint_activations=true"), refused.getMessage());
        }
    }
}

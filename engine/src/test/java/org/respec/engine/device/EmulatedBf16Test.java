package org.respec.engine.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TensorSpec;
import org.respec.engine.model.TestModels;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.Rollouts;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Models in BF16 on the emulated device, beside the CPU's in F32 with the same weights, rounded. */
class EmulatedBf16Test {
    private static final ModelConfig CONFIG = TestModels.wideConfig(41, 256);
    private static final DrafterConfig DRAFT = TestModels.wideDrafterConfig(CONFIG);
    private static final float TEMPERATURE = 0.9f;

    private static CpuAndEmulator devices;
    private static Ops cpu;
    private static Ops emulator;

    @BeforeAll
    static void open() {
        devices = CpuAndEmulator.open();
        cpu = devices.cpu();
        emulator = devices.emulator();
    }

    @AfterAll
    static void close() {
        if (devices != null) {
            devices.close();
        }
    }

    private static Actor actor(Ops ops, DType dtype) {
        Actor actor = TestModels.actor(ops, CONFIG, 21, dtype);
        TestModels.round(actor.weights());
        actor.publish();
        return actor;
    }

    private static List<Trajectory> draw(Actor actor, Ops ops, String plan, int maxBatch) {
        try (Drafter drafter = TestModels.drafter(ops, DRAFT, actor, 22);
             RolloutEngine engine = Rollouts.engine(ops, actor, drafter, new RolloutLimits(maxBatch, 17, 24, 16, 0, 5),
                 SamplingParams.temperature(TEMPERATURE), new StopRule(List.of(3), List.of()), plan)) {
            return engine.generate(TinyTraining.prompts(CONFIG, 1)).trajectories();
        }
    }

    private static double accumulate(Actor actor, Ops ops, List<Trajectory> trajectories, ActorTraining.Keep keep, ParameterSet into) {
        float[] advantages = new float[trajectories.size()];
        for (int i = 0; i < advantages.length; i++) {
            advantages[i] = i % 3 == 0 ? 1 : -0.6f;
        }
        try (AdamW optimizer = new AdamW(ops, actor.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 0f));
             PolicyTrainer trainer = new PolicyTrainer(ops, actor, null, optimizer, new PolicyLoss(0.2f, 0.2f, 0f),
                 new PolicyTrainer.Schedule(1, 1, false, SamplingParams.temperature(TEMPERATURE), 2), 64, keep, true)) {
            double loss = trainer.accumulate(trajectories, advantages);
            into.copyFrom(optimizer.gradients());
            return loss;
        }
    }

    /** Tokens, their log-probabilities and the gradient of the policy loss on them: bits by plan and batch, values by the CPU's. */
    @Test
    void rolloutAndGradientsAreTheCpusToRounding() {
        try (Actor half = actor(emulator, DType.BF16); Actor full = actor(cpu, DType.F32);
             ParameterSet got = new ParameterSet(emulator, "got", CONFIG.tensors());
             ParameterSet again = new ParameterSet(emulator, "again", CONFIG.tensors());
             ParameterSet want = new ParameterSet(cpu, "want", CONFIG.tensors())) {
            List<Trajectory> drawn = draw(half, emulator, "off", 5);
            for (Object[] other : new Object[][] {{"off", 1}, {"4x2x8", 5}, {"3x2x6", 2}}) {
                List<Trajectory> same = draw(half, emulator, (String) other[0], (int) other[1]);
                Rollouts.assertSame(drawn, same, "plan " + other[0]);
            }
            double loss = accumulate(half, emulator, drawn, ActorTraining.Keep.ALL, got);
            assertEquals(accumulate(full, cpu, drawn, ActorTraining.Keep.ALL, want), loss, 0.02, "losses");
            compare(want, got);
            // Layers that are computed again give the same bits.
            assertEquals(loss, accumulate(half, emulator, drawn, ActorTraining.Keep.INPUTS, again));
            assertEquals(got.sha256(), again.sha256());
            compareLogProbs(full, drawn);
        }
    }

    /** A step leaves the copy that passes read as a conversion of the new weights would. */
    @Test
    void optimizersWriteWhatPassesRead() {
        try (Actor half = actor(emulator, DType.BF16);
             AdamW optimizer = new AdamW(emulator, half.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0.1f, 0f));
             ParameterSet converted = new ParameterSet(emulator, "converted", CONFIG.tensors(), DType.BF16)) {
            String before = half.weights().copy().sha256();
            TestModels.randomise(optimizer.gradients(), 5);
            optimizer.step(1e-2f);
            converted.copyFrom(half.weights());
            assertEquals(converted.sha256(), half.weights().copy().sha256());
            assertNotEquals(before, converted.sha256());
        }
    }

    private static void compareLogProbs(Actor full, List<Trajectory> drawn) {
        try (AdamW optimizer = new AdamW(cpu, full.weights(), new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, 0f));
             PolicyTrainer trainer = new PolicyTrainer(cpu, full, null, optimizer, new PolicyLoss(0.2f, 0.2f, 0f),
                 new PolicyTrainer.Schedule(1, 1, false, SamplingParams.temperature(TEMPERATURE)), 64)) {
            float[] ones = new float[drawn.size()];
            Arrays.fill(ones, 1f);
            PolicyTrainer.Report report = trainer.update(drawn, ones, 0f);
            System.out.printf(Locale.ROOT, "log-probabilities in bf16, emulated, beside f32 on the CPU: mean %.4f, KL %.1e, max %.3f%n",
                report.mismatch().mean(), report.mismatch().kl(), report.mismatch().max());
            assertTrue(report.mismatch().mean() > 1e-6, "so close is no rounding to bf16");
            assertTrue(report.mismatch().mean() < 0.03 && report.mismatch().max() < 0.2, "mismatch " + report.mismatch());
        }
    }

    private static void compare(ParameterSet want, ParameterSet got) {
        MemorySegment expected = want.download();
        MemorySegment values = got.download();
        long at = 0;
        double worst = 0;
        for (TensorSpec spec : want.specs()) {
            double difference = 0;
            double norm = 0;
            for (long i = 0; i < (long) spec.rows() * spec.cols(); i++, at++) {
                double e = expected.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                double v = values.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                difference += (v - e) * (v - e);
                norm += e * e;
            }
            double relative = Math.sqrt(difference / norm);
            worst = Math.max(worst, relative);
            assertTrue(relative < 0.05, "gradient of " + spec.name() + " differs by a relative " + relative);
        }
        System.out.printf(Locale.ROOT, "policy gradients in bf16, emulated, beside f32 on the CPU: at most %.3f apart, relative%n", worst);
    }

    /** The whole loop: rollout with speculation, GRPO with a KL term and importance weights, drafter learning. */
    @Test
    void twoIterationsTrain() {
        SpeculationPlan plan = SpeculationPlan.parse("3x2x6");
        TinyTraining.Outcome full = TinyTraining.run(cpu, CONFIG, DRAFT, plan, 2, 16);
        TinyTraining.Outcome half = TinyTraining.run(emulator, CONFIG, DRAFT, plan, 2, 16, DType.BF16);
        TinyTraining.Outcome off = TinyTraining.run(emulator, CONFIG, DRAFT, SpeculationPlan.OFF, 2, 16, DType.BF16);
        assertEquals(half.actorSha256(), off.actorSha256(), "the actor does not depend on what was speculated");
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            TinyTraining.Iteration a = full.iterations().get(i);
            TinyTraining.Iteration b = half.iterations().get(i);
            lines.add(String.format(Locale.ROOT, "iteration %d: gradient norm %.3f (f32 %.3f), divergence %.3f (f32 %.3f), mismatch %.4f",
                i, b.policy().gradNorm(), a.policy().gradNorm(), b.draft().divergence(), a.draft().divergence(),
                b.policy().mismatch().mean()));
            // From the second iteration on other tokens are drawn: rounding moved some draws, and updates moved the weights.
            double tolerance = i == 0 ? 0.05 : 0.5;
            assertEquals(a.policy().gradNorm(), b.policy().gradNorm(), tolerance * a.policy().gradNorm());
            assertEquals(a.draft().divergence(), b.draft().divergence(), tolerance * a.draft().divergence());
            assertTrue(b.policy().mismatch().mean() > 0 && b.policy().mismatch().mean() < 0.03, "mismatch " + b.policy().mismatch());
        }
        lines.forEach(System.out::println);
    }
}

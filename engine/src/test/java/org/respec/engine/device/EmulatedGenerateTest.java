package org.respec.engine.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorDriver.Call;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.Rollouts;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.gpu.GpuOps;

/**
 * The GPU's kernels, run on the host by the emulator, under the whole engine: in fp32 the same tokens as on the CPU, with speculation
 * off and on, and a training run whose losses and weights are the CPU's to rounding.
 */
class EmulatedGenerateTest {
    private static final ModelConfig CONFIG = TestModels.wideConfig(41, 256);
    private static final DrafterConfig DRAFT = TestModels.wideDrafterConfig(CONFIG);

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

    private static Rollout draw(Ops ops, SamplingParams sampling, String setting) {
        try (Actor actor = TestModels.actor(ops, CONFIG, 21);
             Drafter drafter = TestModels.drafter(ops, DRAFT, actor, 22);
             RolloutEngine engine = Rollouts.engine(ops, actor, drafter, new RolloutLimits(5, 17, 24, 16, 0, 5), sampling,
                 new StopRule(List.of(3), List.of()), setting)) {
            return engine.generate(TinyTraining.prompts(CONFIG, 1));
        }
    }

    @Test
    void tokensAreTheCpus() {
        for (SamplingParams sampling : List.of(SamplingParams.temperature(1f), SamplingParams.GREEDY, new SamplingParams(0.8f, 12, 0.9f))) {
            Rollout want = draw(cpu, sampling, "off");
            Rollout plain = null;
            for (String plan : List.of("off", "4x2x8", "ngram:3x2x4")) {
                Rollout got = draw(emulator, sampling, plan);
                plain = plain == null ? got : plain;
                double worst = 0;
                int tokens = 0;
                for (int i = 0; i < want.trajectories().size(); i++) {
                    Trajectory a = want.trajectories().get(i);
                    Trajectory b = got.trajectories().get(i);
                    assertArrayEquals(a.response(), b.response(), sampling + ", " + plan + ", response " + i);
                    // Between plans even the bits are the same.
                    assertArrayEquals(plain.trajectories().get(i).logProbs(), b.logProbs(), sampling + ", " + plan + ", response " + i);
                    for (int t = 0; t < a.logProbs().length; t++) {
                        worst = Math.max(worst, Math.abs(a.logProbs()[t] - b.logProbs()[t]));
                        tokens++;
                    }
                }
                System.out.printf(Locale.ROOT, "%s, plan %s: %d tokens equal, log-probabilities within %.1e, accept length %.2f%n",
                    sampling, plan, tokens, worst, got.stats().acceptLength());
                assertTrue(worst < 2e-5, "log-probabilities differ by " + worst);
                if (!plan.equals("off")) {
                    assertEquals(draw(cpu, sampling, plan).stats().steps(), got.stats().steps(), "trees are as good as the CPU's");
                }
            }
        }
    }

    /** Graphs change how the host speaks to the device, and not a bit of what is drawn. */
    @Test
    void graphsDrawTheSame() {
        EmulatorDriver driver = (EmulatorDriver) ((GpuOps) emulator).driver();
        for (String plan : List.of("off", "4x2x8")) {
            List<Trajectory> want = null;
            for (boolean graphs : new boolean[] {false, true}) {
                ((GpuOps) emulator).useGraphs(graphs);
                Map<Call, Long> before = calls(driver);
                Rollout got = draw(emulator, SamplingParams.temperature(1f), plan);
                Map<Call, Long> after = calls(driver);
                after.replaceAll((call, count) -> count - before.get(call));
                System.out.printf(Locale.ROOT, "plan %s, graphs %s, %d steps: %s%n", plan, graphs, got.stats().steps(), after);
                assertEquals(graphs, after.get(Call.GRAPH) > 0);
                if (want == null) {
                    want = got.trajectories();
                }
                Rollouts.assertSame(want, got.trajectories(), plan);
            }
        }
    }

    /** Prompts that share passes, some of them split over two, give the bits that each gives alone. */
    @Test
    void promptsThatStartTogetherDrawTheSame() {
        List<PromptGroup> prompts = Rollouts.prompts(CONFIG.vocabSize(), 5, 1, 1, 7, 1, 17, 16, 33);
        List<Trajectory> alone = null;
        for (RolloutLimits limits : List.of(new RolloutLimits(1, 33, 4, 16, 0, 5), new RolloutLimits(5, 33, 4, 16, 0, 5, 20))) {
            try (Actor actor = TestModels.actor(emulator, CONFIG, 21);
                 Drafter drafter = TestModels.drafter(emulator, DRAFT, actor, 22);
                 RolloutEngine engine = Rollouts.engine(emulator, actor, drafter, limits, SamplingParams.temperature(1f), Rollouts.NEVER,
                     "2x1x2")) {
                List<Trajectory> got = engine.generate(prompts).trajectories();
                alone = alone == null ? got : alone;
                Rollouts.assertSame(alone, got, limits.toString());
                Rollouts.assertSameCaptures(alone, got, limits.toString());
            }
        }
    }

    private static Map<Call, Long> calls(EmulatorDriver driver) {
        Map<Call, Long> calls = new EnumMap<>(Call.class);
        for (Call call : Call.values()) {
            calls.put(call, driver.calls(call));
        }
        return calls;
    }

    @Test
    void trainingIsTheCpus() {
        SpeculationPlan plan = SpeculationPlan.parse("3x2x6");
        TinyTraining.Outcome want = TinyTraining.run(cpu, CONFIG, DRAFT, plan, 2, 16);
        TinyTraining.Outcome got = TinyTraining.run(emulator, CONFIG, DRAFT, plan, 2, 16);
        for (int i = 0; i < 2; i++) {
            TinyTraining.Iteration a = want.iterations().get(i);
            TinyTraining.Iteration b = got.iterations().get(i);
            close("loss", i, a.policy().loss(), b.policy().loss(), 1e-4);
            close("gradient norm", i, a.policy().gradNorm(), b.policy().gradNorm(), 1e-3 * a.policy().gradNorm());
            close("divergence", i, a.draft().divergence(), b.draft().divergence(), 1e-4);
            close("drafter's gradient norm", i, a.draft().gradNorm(), b.draft().gradNorm(), 1e-3 * a.draft().gradNorm());
            assertEquals(a.draft().rows(), b.draft().rows());
            for (int t = 0; t < a.trajectories().size(); t++) {
                assertArrayEquals(a.trajectories().get(t).response(), b.trajectories().get(t).response(),
                    "iteration " + i + ", response " + t);
            }
        }
        compare("actor", want.actor(), got.actor());
        compare("drafter", want.drafter(), got.drafter());
    }

    private static void close(String what, int iteration, double want, double got, double tolerance) {
        System.out.printf(Locale.ROOT, "iteration %d, %s: %.6f on the CPU, %.6f emulated%n", iteration, what, want, got);
        assertEquals(want, got, tolerance, what + " of iteration " + iteration);
    }

    /**
     * AdamW moves a weight by the learning rate (here 0.01) in the direction of a gradient's sign, however small the gradient is: weights
     * whose gradient is rounding alone may differ by that, few do.
     */
    private static void compare(String what, float[] want, float[] got) {
        double sum = 0;
        int far = 0;
        for (int i = 0; i < want.length; i++) {
            double error = Math.abs(want[i] - got[i]);
            sum += error;
            far += error > 1e-3 ? 1 : 0;
        }
        System.out.printf(Locale.ROOT, "%s: weights differ by %.1e on average, %d of %d by more than a tenth of a step%n", what,
            sum / want.length, far, want.length);
        assertTrue(sum / want.length < 2e-5 && far <= want.length / 500,
            what + ": mean difference " + sum / want.length + ", " + far + " far");
    }
}

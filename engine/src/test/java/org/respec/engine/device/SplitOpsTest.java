package org.respec.engine.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.Rollouts;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TensorArena;

/** Where host and device do not share memory the engine draws the same tokens and learns the same weights, bit for bit. */
class SplitOpsTest {
    private static Ops cpu;
    private static Ops split;

    @BeforeAll
    static void open() {
        cpu = Backends.open("cpu", 2);
        split = new SplitOps(2);
    }

    @AfterAll
    static void close() {
        split.close();
        cpu.close();
    }

    private static Rollout draw(Ops ops, SamplingParams sampling, String setting, int maxBatch, int pages) {
        ModelConfig config = TestModels.actorConfig(true);
        try (Actor actor = TestModels.actor(ops, config, 21);
             Drafter drafter = TestModels.drafter(ops, TestModels.drafterConfig(config), actor, 22);
             RolloutEngine engine = Rollouts.engine(ops, actor, drafter, new RolloutLimits(maxBatch, 17, 24, 4, pages, 5), sampling,
                 new StopRule(List.of(3), List.of()), setting)) {
            engine.generate(TinyTraining.prompts(config, 4));
            // What a first rollout left behind must not matter.
            return engine.generate(TinyTraining.prompts(config, 5));
        }
    }

    @ParameterizedTest
    @CsvSource({"off,64,0", "off,2,0", "4x4x16,64,0", "1x3x3,4,0", "8x2x20,4,0", "3x2x5,1,0", "3x2x6,7,31", "off,7,31", "ngram:4x3x6,7,0"})
    void rolloutsAreTheSame(String plan, int maxBatch, int pages) {
        for (SamplingParams sampling : List.of(SamplingParams.temperature(1f), SamplingParams.GREEDY, new SamplingParams(0.7f, 9, 0.9f))) {
            Rollout want = draw(cpu, sampling, plan, maxBatch, pages);
            Rollout got = draw(split, sampling, plan, maxBatch, pages);
            assertEquals(want.stats().plans(), got.stats().plans());
            assertEquals(want.stats().steps(), got.stats().steps(), "trees are as good");
            assertEquals(want.stats().preemptions(), got.stats().preemptions());
            if (pages > 0 && plan.equals("off")) {
                assertTrue(got.stats().preemptions() > 0, "this size is meant to preempt");
            }
            assertSame(want.trajectories(), got.trajectories(), plan);
        }
    }

    private static void assertSame(List<Trajectory> want, List<Trajectory> got, String what) {
        Rollouts.assertSame(want, got, what);
        Rollouts.assertSameCaptures(want, got, what);
    }

    @ParameterizedTest
    @ValueSource(strings = {"off", "3x2x6"})
    void trainingIsTheSame(String plan) {
        ModelConfig config = TestModels.actorConfig(true);
        DrafterConfig draft = TestModels.drafterConfig(config);
        TinyTraining.Outcome want = TinyTraining.run(cpu, config, draft, SpeculationPlan.parse(plan), 3, 20);
        TinyTraining.Outcome got = TinyTraining.run(split, config, draft, SpeculationPlan.parse(plan), 3, 20);
        for (int i = 0; i < 3; i++) {
            TinyTraining.Iteration a = want.iterations().get(i);
            TinyTraining.Iteration b = got.iterations().get(i);
            assertSame(a.trajectories(), b.trajectories(), "iteration " + i);
            assertEquals(a.policy(), b.policy(), "iteration " + i);
            assertEquals(a.draft(), b.draft(), "iteration " + i);
        }
        assertEquals(want.actorSha256(), got.actorSha256());
        assertEquals(want.drafterSha256(), got.drafterSha256());
    }

    /** The wall itself: without it the tests above would show nothing. */
    @Test
    void hostAndDeviceAreApart() {
        try (TensorArena arena = split.arena("test")) {
            HostMirror mirror = arena.mirror(DType.F32, 1, 2);
            split.fill(mirror.device(), 3f);
            assertEquals(0f, mirror.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, 1));
            split.pull(mirror, 1);
            assertEquals(3f, mirror.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, 0));
            assertEquals(0f, mirror.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, 1));
            assertThrows(IllegalStateException.class, () -> mirror.device().host());
            assertThrows(IllegalArgumentException.class, () -> split.fill(mirror.host(), 1f));
        }
    }
}

package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.SmallModel;
import org.respec.engine.speculation.AcceptanceTracker;
import org.respec.engine.speculation.CostProfile;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.speculation.UtilizationProbe;
import org.respec.kernels.SamplingParams;

/** Whatever a probe says, or stops saying, in the middle of a run: the same responses, to their end. */
class ProbedRolloutTest {
    private static Rollout run(SmallModel model, DoubleSupplier source, boolean off) {
        CostProfile profile = new CostProfile();
        for (int rows : new int[] {1, 64}) {
            profile.addVerify(1, rows, 1e-3 + 1e-5 * rows);
            profile.addDraft(1, rows, 1e-4 + 1e-7 * rows);
        }
        long[] clock = {0};
        UtilizationProbe probe = new UtilizationProbe(source, () -> clock[0]);
        AcceptanceTracker acceptance = AcceptanceTracker.hopeful();
        PlanSolver solver = new PlanSolver(PlanSolver.candidates(4, 2, 8), acceptance, profile, 0.05, 256, () -> {
            clock[0] += 50_000_000;
            try {
                probe.sample();
            } catch (IllegalStateException e) {
                // As its thread does: a probe that failed takes no more samples, and its last one ages.
                clock[0] += 500_000_000;
            }
            return probe.getAsDouble();
        });
        PlanPolicy policy = off ? new FixedPolicy(SpeculationPlan.OFF) : new AdaptivePolicy(solver, acceptance, probe);
        try (RolloutEngine engine = new RolloutEngine(model.ops(), model.actor(), model.drafter(), new RolloutLimits(5, 17, 60, 4, 0, 0),
            SamplingParams.temperature(1f), Rollouts.SEED, new StopRule(List.of(3), List.of()), policy, !off, 1f)) {
            return engine.generate(Rollouts.prompts(model.config().vocabSize(), 31, 3, 1000, 7, 1, 16, 5));
        }
    }

    /** Weighted by the steps' time; a share that is not known is no share, and a policy without a probe knows none. */
    @Test
    void thePolicyTellsWhatOthersUsed() {
        CostProfile profile = new CostProfile();
        profile.addVerify(1, 1, 1e-3);
        profile.addDraft(1, 1, 1e-4);
        AcceptanceTracker acceptance = AcceptanceTracker.hopeful();
        PlanSolver solver = new PlanSolver(PlanSolver.candidates(2, 1, 2), acceptance, profile, 0.05, 64);
        long[] clock = {0};
        double[] share = {Double.NaN};
        UtilizationProbe probe = new UtilizationProbe(() -> share[0], () -> clock[0]);
        PlanPolicy policy = new AdaptivePolicy(solver, acceptance, probe);
        policy.observeStep(SpeculationPlan.OFF, 1, 1, 1, 0, 5_000_000);
        assertTrue(Double.isNaN(policy.takeUtilization()), "nothing was heard yet");
        share[0] = 0.8;
        probe.sample();
        policy.observeStep(SpeculationPlan.OFF, 1, 1, 1, 1_000_000, 2_000_000);
        clock[0] += 900_000_000;
        share[0] = 0;
        probe.sample();
        policy.observeStep(SpeculationPlan.OFF, 1, 1, 1, 0, 1_000_000);
        clock[0] += 1_000_000_001;
        policy.observeStep(SpeculationPlan.OFF, 1, 1, 1, 0, 7_000_000);
        assertEquals(0.75 * 0.8, policy.takeUtilization(), 1e-4);
        assertTrue(Double.isNaN(policy.takeUtilization()), "no steps since");
        PlanPolicy without = new AdaptivePolicy(solver, acceptance);
        without.observeStep(SpeculationPlan.OFF, 1, 1, 1, 0, 1_000_000);
        assertTrue(Double.isNaN(without.takeUtilization()));
    }

    @Test
    void noProbeChangesATrajectory() {
        try (SmallModel model = SmallModel.open(21)) {
            Rollout reference = run(model, () -> 0, true);
            int[] asked = {0};
            List<DoubleSupplier> sources = List.of(() -> 0, () -> 1, () -> asked[0]++ % 7 / 6.0, () -> Double.NaN, () -> {
                if (asked[0]++ % 4 == 3) {
                    throw new IllegalStateException("the probe died");
                }
                return 0.9;
            });
            boolean speculated = false;
            for (DoubleSupplier source : sources) {
                Rollout rollout = run(model, source, false);
                speculated |= rollout.stats().plans().size() > 1;
                Rollouts.assertSame(reference, rollout, "probed");
            }
            assertTrue(speculated, "some of these runs speculate");
        }
    }
}

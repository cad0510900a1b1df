package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class StepCorrectionsTest {
    private static final int BATCH = 4;
    private static final SpeculationPlan CHAIN = SpeculationPlan.parse("3x1x3");
    private static final SpeculationPlan TREE = SpeculationPlan.parse("4x2x8");

    /** Steps that take what the profile says times a factor of the plan, on a machine whose speed wanders and which is interrupted. */
    private static final class Machine {
        final StepCorrections corrections = new StepCorrections();
        private final SplittableRandom random;
        private double drift;

        Machine(long seed) {
            random = new SplittableRandom(seed);
        }

        void steps(SpeculationPlan plan, double verify, double draft, int count) {
            for (int step = 0; step < count; step++) {
                drift = 0.98 * drift + 0.01 * random.nextGaussian();
                double noise = Math.exp(0.3 + drift + 0.05 * random.nextGaussian()) * (random.nextInt(50) == 0 ? 3 : 1);
                corrections.observe(BATCH, plan, verify * noise, plan.isOff() ? Double.NaN : draft * noise);
            }
        }

        /** The cost of a plan's verify pass beside off's, over what the profile says. */
        double beside(SpeculationPlan plan) {
            return corrections.verify(BATCH, plan) / corrections.verify(BATCH, SpeculationPlan.OFF);
        }
    }

    @Test
    void whatIsTakenByTurnsIsKnownWithinAFewPerCent() {
        for (long seed = 0; seed < 20; seed++) {
            Machine machine = new Machine(seed);
            for (int turn = 0; turn < 40; turn++) {
                machine.steps(CHAIN, 1.25, 0.8, 60);
                machine.steps(SpeculationPlan.OFF, 1, 1, 4);
            }
            assertEquals(1.25, machine.beside(CHAIN), 0.06, "seed " + seed);
            double drafting = machine.corrections.draft(BATCH, CHAIN) / machine.corrections.verify(BATCH, CHAIN);
            assertEquals(0.8 / 1.25, drafting, 0.03, "seed " + seed);
            assertTrue(machine.corrections.deviation(BATCH, CHAIN, 0) < 0.05, "seed " + seed);
        }
    }

    /** One step that takes a hundred times as long, as where code is compiled, counts no more than any other. */
    @Test
    void aHangIsNoCost() {
        StepCorrections corrections = new StepCorrections();
        for (int step = 0; step < 100; step++) {
            corrections.observe(BATCH, SpeculationPlan.OFF, 1, Double.NaN);
        }
        for (int step = 0; step < 4; step++) {
            corrections.observe(BATCH, CHAIN, step == 1 ? 100 : 1, step == 1 ? 100 : 1);
        }
        assertEquals(1, corrections.verify(BATCH, CHAIN) / corrections.verify(BATCH, SpeculationPlan.OFF), 1e-9);
    }

    /** A profile that is wrong by a factor of three is put right by some turns, though no one error of such size is believed. */
    @Test
    void aGrossErrorIsFound() {
        Machine machine = new Machine(3);
        for (int turn = 0; turn < 12; turn++) {
            machine.steps(TREE, 3, 1, 16);
            machine.steps(SpeculationPlan.OFF, 1, 1, 16);
        }
        assertEquals(3, machine.beside(TREE), 0.5);
        assertTrue(machine.corrections.deviation(BATCH, SpeculationPlan.parse("6x4x24"), 0) > 0.2, "then others may be as wrong");
    }

    @Test
    void whatWasLearntFades() {
        Machine machine = new Machine(4);
        for (int turn = 0; turn < 20; turn++) {
            machine.steps(TREE, 1.3, 1, 16);
            machine.steps(SpeculationPlan.OFF, 1, 1, 16);
        }
        double ignorance = machine.corrections.ignorance(BATCH, TREE);
        assertEquals(1.3, machine.beside(TREE), 0.08);
        machine.steps(SpeculationPlan.OFF, 1, 1, 30_000);
        assertEquals(1, machine.beside(TREE), 0.08);
        assertTrue(machine.corrections.ignorance(BATCH, TREE) > 2 * ignorance && machine.corrections.ignorance(BATCH, TREE) > 0.8);
    }

    @Test
    void sizesOfBatchesAreApart() {
        StepCorrections corrections = new StepCorrections();
        for (int step = 0; step < 400; step++) {
            corrections.observe(step % 40 < 20 ? 1 : 16, step % 40 < 20 ? SpeculationPlan.OFF : CHAIN, step % 40 < 20 ? 1 : 2, 1);
        }
        assertEquals(1, corrections.verify(16, CHAIN) / corrections.verify(16, SpeculationPlan.OFF), 1e-9, "nothing was compared");
        assertEquals(1, corrections.verify(1, CHAIN) / corrections.verify(1, SpeculationPlan.OFF), 1e-9);
    }

    /**
     * Two steps of 64 requests, two of 32, and so on, rollout for rollout, now with off and now with a plan that is dearer for some of them
     * than the profile says: no plan follows another on the same batch.
     */
    @Test
    void whatPassesInAFewStepsIsHeldAgainstTheWhole() {
        for (long seed = 0; seed < 20; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            StepCorrections corrections = new StepCorrections();
            for (int rollout = 0; rollout < 200; rollout++) {
                SpeculationPlan plan = rollout % 2 == 0 ? CHAIN : SpeculationPlan.OFF;
                double drift = 0.3 + 0.05 * random.nextGaussian();
                for (int batch = 64; batch > 0; batch /= 2) {
                    for (int step = 0; step < 2; step++) {
                        double noise = Math.exp(drift + 0.05 * random.nextGaussian()) * (random.nextInt(50) == 0 ? 3 : 1);
                        double factor = plan == CHAIN && batch >= 16 ? 1.2 : 1;
                        corrections.observe(batch, plan, factor * noise, Double.NaN);
                    }
                }
            }
            for (int batch = 64; batch > 0; batch /= 2) {
                double beside = corrections.verify(batch, CHAIN) / corrections.verify(batch, SpeculationPlan.OFF);
                assertEquals(batch >= 16 ? 1.2 : 1, beside, 0.08, "seed " + seed + ", batch " + batch);
            }
        }
    }

    /** The first stay hangs; the dozen of others are still held against what the machine is like. */
    @Test
    void aHangAtFirstIsNotHeldAgainstTheRest() {
        StepCorrections corrections = new StepCorrections();
        corrections.observe(64, CHAIN, 30, Double.NaN);
        for (int rollout = 0; rollout < 24; rollout++) {
            SpeculationPlan plan = rollout % 2 == 0 ? CHAIN : SpeculationPlan.OFF;
            for (int batch = 64; batch > 0; batch /= 2) {
                corrections.observe(batch, plan, plan == CHAIN && batch >= 16 ? 1.2 : 1, Double.NaN);
            }
        }
        assertEquals(1.2, corrections.verify(64, CHAIN) / corrections.verify(64, SpeculationPlan.OFF), 0.06);
    }
}

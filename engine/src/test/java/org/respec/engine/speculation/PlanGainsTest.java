package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class PlanGainsTest {
    private static final List<SpeculationPlan> PLANS = List.of(SpeculationPlan.OFF, SpeculationPlan.parse("2x1x2"),
        SpeculationPlan.parse("3x1x3"), SpeculationPlan.parse("3x2x6"));
    private static final int BATCH = 8;

    /** For a drafter whose first choice is right in eight of ten cases, and whose second in one. */
    private static PlanGains gains() {
        AcceptanceTracker tracker = AcceptanceTracker.hopeful();
        for (int i = 0; i < 3000; i++) {
            for (int depth = 1; depth <= 3; depth++) {
                tracker.observe(depth, i % 10 < 8 ? 0 : i % 10 == 8 ? 1 : -1, 2);
            }
        }
        PlanGains gains = new PlanGains(PLANS, tracker);
        gains.refresh(1);
        return gains;
    }

    private static void steps(PlanGains gains, int plan, double tokens, int count) {
        SplittableRandom random = new SplittableRandom(plan);
        for (int step = 0; step < count; step++) {
            gains.observe(plan, BATCH, (int) Math.round(BATCH * tokens + 4 * (random.nextDouble() - 0.5)));
            if (step % 16 == 0) {
                gains.refresh(16);
            }
        }
        gains.refresh(16);
    }

    /** What was seen long ago, before thousands of steps of off, leaves the hopes of the beginning. */
    @Test
    void offForgetsWhatPlansGained() {
        PlanGains gains = gains();
        steps(gains, 2, 1.2, 2000);
        assertTrue(gains.tokens(2) < 1.4, gains.tokens(2) + " tokens");
        steps(gains, 0, 1, 500);
        assertTrue(gains.tokens(2) < 2, gains.tokens(2) + " tokens after 500 steps of off");
        steps(gains, 0, 1, 30_000);
        double hoped = new ExpectedTokens().refresh(AcceptanceTracker.hopeful()).of(PLANS.get(2));
        assertEquals(hoped, gains.tokens(2), 0.05 * hoped);
    }

    /** What one plan's steps gain less than expected, others' are taken to gain less too. */
    @Test
    void gainsAreCommon() {
        PlanGains gains = gains();
        double two = gains.tokens(1) - 1;
        double three = gains.tokens(2) - 1;
        steps(gains, 2, 1 + 0.9 * three, 1000);
        assertEquals(1 + 0.9 * three, gains.tokens(2), 0.02);
        assertEquals(1 + 0.9 * two, gains.tokens(1), 0.08);
    }

    /** What two plans gain by turns is told apart. */
    @Test
    void gainsAreToldApart() {
        PlanGains gains = gains();
        double three = gains.tokens(2) - 1;
        double tree = gains.tokens(3) - 1;
        for (int turn = 0; turn < 30; turn++) {
            steps(gains, 2, 1 + 0.95 * three, 50);
            steps(gains, 3, 1 + 1.1 * tree, 50);
        }
        assertEquals(1 + 0.95 * three, gains.tokens(2), 0.08);
        assertEquals(1 + 1.1 * tree, gains.tokens(3), 0.05);
    }

    /** No plan ever gains so little that it could not gain again. */
    @Test
    void gainsComeBack() {
        PlanGains gains = gains();
        double three = gains.tokens(2);
        steps(gains, 2, 1, 20_000);
        assertEquals(1, gains.tokens(2), 0.1);
        steps(gains, 2, three, 2000);
        assertEquals(three, gains.tokens(2), 0.1);
    }
}

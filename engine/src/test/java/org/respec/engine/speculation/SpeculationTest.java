package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;

class SpeculationTest {
    @Test
    void plansAreReadAndWritten() {
        assertEquals(new SpeculationPlan(4, 2, 8), SpeculationPlan.parse("4x2x8"));
        assertEquals("4x2x8", SpeculationPlan.parse("4x2x8").toString());
        assertEquals(SpeculationPlan.OFF, SpeculationPlan.parse("off"));
        assertEquals("off", SpeculationPlan.OFF.toString());
        for (SpeculationPlan plan : PlanSolver.candidates(8, 8, 63)) {
            assertEquals(plan, SpeculationPlan.parse(plan.toString()));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "on", "4x2", "4x2x8x1", "0x1x1", "9x1x9", "1x9x9", "4x2x3", "1x2x3", "4x2x64", "-1x2x3", "4 x2x8", "99999x1x1"})
    void brokenPlansAreRefused(String text) {
        BadInput e = assertThrows(BadInput.class, () -> SpeculationPlan.parse(text));
        assertTrue(e.getMessage().startsWith("speculation plan") && e.getMessage().lines().count() == 1, e.getMessage());
    }

    /** Rank probabilities of a drafter: 0.6 for its first choice, then 0.2, 0.1 and 0.04 of all. */
    private static final double[] RANKS = {0.6, 0.2, 0.1, 0.04};

    private static AcceptanceTracker taught(long seed, int depths, int observations) {
        AcceptanceTracker tracker = new AcceptanceTracker(4000, 0.7, 20);
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < observations; i++) {
            for (int depth = 1; depth <= depths; depth++) {
                double u = random.nextDouble();
                int rank = 0;
                while (rank < 4 && u >= RANKS[rank]) {
                    u -= RANKS[rank++];
                }
                int named = 1 + random.nextInt(4);
                tracker.observe(depth, rank < named ? rank : -1, named);
            }
        }
        return tracker;
    }

    @Test
    void acceptanceFindsTheRanksChances() {
        AcceptanceTracker tracker = taught(1, 3, 30_000);
        for (int depth = 1; depth <= 3; depth++) {
            for (int rank = 0; rank < 4; rank++) {
                assertEquals(RANKS[rank], tracker.chance(depth, rank), 0.04, "depth " + depth + ", rank " + rank);
            }
        }
        // Depths that were never reached follow the last that was.
        assertEquals(0.6, tracker.chance(6, 0), 0.04);
        assertThrows(IllegalArgumentException.class, () -> tracker.observe(0, 0, 1));
        assertThrows(IllegalArgumentException.class, () -> tracker.observe(1, 2, 2));
    }

    /** Expected tokens by listing all nodes of the full tree and adding up the chances of the best. */
    @Test
    void expectedTokensAgreeWithEnumeration() {
        AcceptanceTracker tracker = taught(2, 4, 20_000);
        ExpectedTokens asked = new ExpectedTokens().refresh(tracker);
        for (SpeculationPlan plan : List.of(new SpeculationPlan(1, 1, 1), new SpeculationPlan(1, 4, 3), new SpeculationPlan(3, 1, 3),
            new SpeculationPlan(2, 3, 7), new SpeculationPlan(3, 2, 10), new SpeculationPlan(4, 4, 16),
            new SpeculationPlan(2, 4, 5), new SpeculationPlan(1, 1, 1))) {
            List<Double> level = List.of(1.0);
            List<Double> all = new ArrayList<>();
            for (int depth = 1; depth <= plan.depth(); depth++) {
                List<Double> next = new ArrayList<>();
                for (double parent : level) {
                    for (int rank = 0; rank < plan.branch(); rank++) {
                        next.add(parent * tracker.chance(depth, rank));
                    }
                }
                next.sort((x, y) -> Double.compare(y, x));
                all.addAll(next);
                level = next.subList(0, plan.branch());
            }
            all.sort((x, y) -> Double.compare(y, x));
            double want = 1 + all.subList(0, plan.tokens()).stream().mapToDouble(Double::doubleValue).sum();
            assertEquals(want, new ExpectedTokens().refresh(tracker).of(plan), 1e-12, plan.toString());
            assertEquals(want, asked.of(plan), 1e-12, "whatever was asked before " + plan);
        }
    }

    private static CostProfile profile(double verifyBase, double verifyRow, double draftBase, double draftRow) {
        CostProfile profile = new CostProfile();
        for (int batch : new int[] {1, 4, 16, 64}) {
            for (int rows : new int[] {1, 2, 4, 8, 16, 32}) {
                profile.addVerify(batch, batch * rows, verifyBase + verifyRow * batch * rows);
                profile.addDraft(batch, batch * rows, draftBase + draftRow * batch * rows);
            }
        }
        return profile;
    }

    @Test
    void costsPassThroughTheirSamples() {
        CostProfile profile = profile(1e-3, 1e-5, 1e-4, 1e-6);
        for (int batch : new int[] {1, 2, 3, 4, 7, 16, 40, 64}) {
            for (int rows : new int[] {1, 3, 8, 20, 40}) {
                assertEquals(1e-3 + 1e-5 * batch * rows, profile.verify(batch, batch * rows), 1e-9, batch + " x " + rows);
            }
        }
        assertThrows(IllegalStateException.class, () -> new CostProfile().verify(1, 1));
    }

    /** A draft is what lies beside its passes, an extension over what was gained, and its further levels. */
    @Test
    void draftsAddUp() {
        CostProfile profile = new CostProfile();
        profile.addDraft(4, 4, 10);
        profile.addDraft(4, 8, 12);
        SpeculationPlan plan = SpeculationPlan.parse("3x2x6");
        assertEquals(11 + 2 * 12, profile.draftSeconds(4, plan, 6), 1e-9, "levels cost what passes do");
        profile.addOverhead(4, 5);
        profile.addLevel(4, 4, 20);
        profile.addLevel(4, 8, 30);
        assertEquals(5 + 11 + 2 * 30, profile.draftSeconds(4, plan, 6), 1e-9);
        assertEquals(5 + 10, profile.draftSeconds(4, SpeculationPlan.parse("1x1x1"), 4), 1e-9);
        assertEquals(12, profile.extendSeconds(4, 8), 1e-9, "beside what a step's draft costs anyway");
    }

    private static PlanSolver solver(CostProfile profile, AcceptanceTracker tracker, double margin, int maxRows) {
        return new PlanSolver(PlanSolver.candidates(6, 4, 24), tracker, profile, margin, maxRows);
    }

    @Test
    void memoryBoundVerificationDeepensTheTree() {
        AcceptanceTracker tracker = taught(3, 6, 5000);
        SpeculationPlan free = solver(profile(1e-3, 1e-9, 1e-5, 1e-9), tracker, 0, 1 << 20).choose(1, 1);
        assertTrue(free.depth() >= 5 && free.tokens() >= 16, "free rows: " + free);
        SpeculationPlan dear = solver(profile(1e-6, 1e-3, 1e-4, 1e-4), tracker, 0, 1 << 20).choose(1, 1);
        assertTrue(dear.isOff(), "rows as dear as steps: " + dear);
        SpeculationPlan middle = solver(profile(1e-3, 1e-4, 1e-4, 1e-6), tracker, 0, 1 << 20).choose(1, 1);
        assertTrue(!middle.isOff() && middle.tokens() < free.tokens(), "in between: " + middle);
    }

    @Test
    void largerBatchesSpeculateLess() {
        AcceptanceTracker tracker = taught(4, 6, 5000);
        CostProfile profile = profile(1e-3, 5e-5, 1e-4, 1e-6);
        int last = Integer.MAX_VALUE;
        for (int batch : new int[] {1, 4, 16, 64}) {
            SpeculationPlan plan = solver(profile, tracker, 0, 1 << 20).choose(batch, batch);
            assertTrue(plan.tokens() <= last, "batch " + batch + ": " + plan);
            last = plan.tokens();
        }
        assertTrue(last == 0, "off at 64");
    }

    @Test
    void passesNeverGrowPastTheirRows() {
        AcceptanceTracker tracker = taught(5, 6, 5000);
        PlanSolver solver = solver(profile(1e-3, 1e-9, 1e-5, 1e-9), tracker, 0, 64);
        for (int batch = 1; batch <= 64; batch++) {
            assertTrue(batch * (solver.choose(batch, batch).tokens() + 1) <= 64 || solver.choose(batch, batch).isOff(), "batch " + batch);
        }
    }

    /** Tells {@code solver} of a step of one request that takes what {@code truth} says; returns tokens expected over those gained so far. */
    private static double step(PlanSolver solver, SpeculationPlan plan, AcceptanceTracker tracker, CostProfile truth, double owed) {
        double tokens = plan.isOff() ? 1 : new ExpectedTokens().refresh(tracker).of(plan);
        double draft = plan.isOff() ? 0 : truth.draftSeconds(1, plan, (int) Math.ceil(tokens));
        int gained = (int) (owed + tokens);
        solver.observe(plan, 1, 1, gained, draft, truth.verifySeconds(1, plan));
        return owed + tokens - gained;
    }

    /** A profile that holds the best plan for three times as dear as it is, and another for cheap: what steps take puts it right. */
    @Test
    void stepsCorrectAMistakenProfile() {
        AcceptanceTracker tracker = taught(7, 6, 5000);
        CostProfile truth = profile(1e-4, 1e-5, 1e-5, 1e-7);
        CostProfile mistaken = distorted(truth, 1, rows -> rows == 25 ? 0.3 : rows == 16 ? 0.5 : 1);
        PlanSolver right = solver(truth, tracker, 0.02, 1 << 20);
        PlanSolver solver = solver(mistaken, tracker, 0.02, 1 << 20);
        SpeculationPlan plan = solver.choose(1, 1);
        assertTrue(plan.tokens() >= 15, "at first the cheap-looking plan is taken: " + plan);
        double best = right.scores(1).values().stream().mapToDouble(Double::doubleValue).max().orElseThrow();
        double sum = 0;
        double owed = 0;
        for (int step = 0; step < 1400; step++) {
            plan = solver.choose(1, 1);
            sum += step < 400 ? 0 : right.scores(1).get(plan) / best;
            owed = step(solver, plan, tracker, truth, owed);
        }
        // Corrections fade, so the mistake is tried again now and then.
        assertTrue(sum / 1000 > 0.93, "steps 400 to 1400 are " + sum / 1000 + " of the best on average");
    }

    /** Steps of the first second take half as long again, and thrice that where more than a token is verified, as uncompiled code may. */
    @Test
    void whatFirstStepsSayIsNotHeldForLong() {
        AcceptanceTracker tracker = taught(7, 6, 5000);
        CostProfile truth = profile(1e-3, 1e-4, 1e-4, 1e-6);
        CostProfile cold = distorted(truth, 1, rows -> rows > 2 ? 4.5 : 1.5);
        PlanSolver solver = solver(truth, tracker, 0.02, 1 << 20);
        double best = solver.scores(1).values().stream().mapToDouble(Double::doubleValue).max().orElseThrow();
        PlanSolver right = solver(truth, tracker, 0.02, 1 << 20);
        double seconds = 0;
        double owed = 0;
        double sum = 0;
        int counted = 0;
        for (int step = 0; counted < 1000; step++) {
            SpeculationPlan plan = solver.choose(1, 1, 1e9);
            CostProfile now = seconds < 1 ? cold : truth;
            double tokens = plan.isOff() ? 1 : new ExpectedTokens().refresh(tracker).of(plan);
            seconds += now.verifySeconds(1, plan) + (plan.isOff() ? 0 : now.draftSeconds(1, plan, (int) Math.ceil(tokens)));
            owed = step(solver, plan, tracker, now, owed);
            if (seconds > 2.5) {
                sum += right.scores(1).get(plan) / best;
                counted++;
            }
            assertTrue(step < 100_000, "never done");
        }
        assertTrue(sum / counted > 0.95, "steps from 2.5 s on are " + sum / counted + " of the best on average");
    }

    /** What {@code truth} says of the batches up to {@code batches}, but off takes {@code mistake} times as long. */
    private static CostProfile withOff(CostProfile truth, int batches, double mistake) {
        return distorted(truth, batches, rows -> rows == 1 ? mistake : 1);
    }

    /** The same, but verify passes take so many times as long as {@code times} says by the rows of a request. */
    private static CostProfile distorted(CostProfile truth, int batches, IntToDoubleFunction times) {
        CostProfile profile = new CostProfile();
        for (int batch = 1; batch <= batches; batch++) {
            for (int rows : new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 25}) {
                profile.addVerify(batch, batch * rows, truth.verify(batch, batch * rows) * times.applyAsDouble(rows));
                profile.addDraft(batch, batch * rows, truth.draft(batch, batch * rows));
            }
        }
        return profile;
    }

    /** Profiles that hold off for much dearer, or much cheaper, than it is: trying now and then what is not taken puts them right. */
    @ParameterizedTest
    @ValueSource(doubles = {2.5, 0.7})
    void whatIsNotTakenIsTriedNowAndThen(double mistake) {
        AcceptanceTracker tracker = taught(8, 6, 5000);
        // Truly, off is 15 % better than any plan where its profile is too dear, and 15 % worse where it is too cheap.
        CostProfile truth = profile(mistake > 1 ? 1e-4 : 3e-4, 1e-4, 4e-5, 1e-6);
        CostProfile mistaken = withOff(truth, 1, mistake);
        PlanSolver right = solver(truth, tracker, 0.02, 1 << 20);
        double off = right.scores(1).get(SpeculationPlan.OFF);
        double on = right.scores(1).entrySet().stream().filter(e -> !e.getKey().isOff()).mapToDouble(java.util.Map.Entry::getValue).max().orElseThrow();
        assertEquals(mistake > 1, off > 1.03 * on, "the case is as it says: off " + off + ", best plan " + on);
        PlanSolver solver = solver(mistaken, tracker, 0.02, 1 << 20);
        assertEquals(mistake < 1, solver.choose(1, 1).isOff(), "at first the profile is believed");
        int wrong = 0;
        double owed = 0;
        for (int step = 0; step < 20_000; step++) {
            SpeculationPlan plan = solver.choose(1, 1);
            owed = step(solver, plan, tracker, truth, owed);
            wrong += step >= 10_000 && plan.isOff() == (mistake < 1) ? 1 : 0;
        }
        assertTrue(wrong < 1000, wrong + " of 10000 steps took the wrong side");
    }

    /** The first steps of a batch are not like the rest, so that nothing is tried in them, however wrong the profile is. */
    @Test
    void noTryBeginsWithABatch() {
        AcceptanceTracker tracker = taught(8, 6, 5000);
        CostProfile truth = profile(3e-4, 1e-4, 4e-5, 1e-6);
        CostProfile mistaken = withOff(truth, 2, 0.7);
        PlanSolver solver = solver(mistaken, tracker, 0.02, 1 << 20);
        for (int step = 0; step < 4000; step++) {
            int batch = 1 + step / 5 % 2;
            SpeculationPlan plan = solver.choose(batch, batch);
            assertTrue(plan.isOff(), plan + " in step " + step);
            solver.observe(plan, batch, batch, batch, 0, truth.verifySeconds(batch, plan));
        }
    }

    @Test
    void thePlanIsKeptWithinTheMargin() {
        AcceptanceTracker tracker = taught(6, 6, 5000);
        CostProfile profile = profile(1e-3, 1e-4, 1e-4, 1e-6);
        PlanSolver keen = solver(profile, tracker, 0, 1 << 20);
        PlanSolver steady = solver(profile, tracker, 10, 1 << 20);
        assertTrue(!keen.choose(1, 1).isOff());
        assertTrue(steady.choose(1, 1).isOff(), "begins with off, and nothing is eleven times better");
        double best = keen.scores(1).values().stream().mapToDouble(Double::doubleValue).max().orElseThrow();
        assertEquals(best, keen.scores(1).get(keen.choose(1, 1)), 1e-9 * best);
    }

    /** Turning on costs the drafter's extension at once: near the end it is not worth it, however much better the plan would be. */
    @Test
    void turningOnMustPayBeforeTheEnd() {
        AcceptanceTracker tracker = taught(10, 6, 5000);
        CostProfile profile = profile(1e-3, 1e-4, 1e-4, 1e-5);
        SpeculationPlan on = solver(profile, tracker, 0.02, 1 << 20).choose(4, 2000, 1e6);
        assertTrue(!on.isOff(), "with a million tokens to go");
        double off = solver(profile, tracker, 0.02, 1 << 20).scores(4).get(SpeculationPlan.OFF);
        double best = solver(profile, tracker, 0.02, 1 << 20).scores(4).values().stream().mapToDouble(Double::doubleValue).max().orElseThrow();
        // Extending by 2000 rows takes 20 ms.
        double even = 20e-3 / (1 / off - 1 / best);
        assertTrue(solver(profile, tracker, 0.02, 1 << 20).choose(4, 2000, even).isOff(), "what would be saved is what it costs");
        assertTrue(!solver(profile, tracker, 0.02, 1 << 20).choose(4, 2000, 3 * even).isOff(), "three times as much");
        assertTrue(solver(profile, tracker, 0.02, 1 << 20).choose(4, 2000, Double.NaN).isOff(), "not at once, if nothing is known");
    }

    /** First steps after off that take longer than others belong to the price of turning on. */
    @Test
    void coldFirstStepsMakeTurningOnDearer() {
        AcceptanceTracker tracker = taught(11, 6, 5000);
        CostProfile profile = profile(1e-3, 1e-4, 1e-4, 1e-6);
        PlanSolver solver = solver(profile, tracker, 0.02, 1 << 20);
        double off = solver.scores(1).get(SpeculationPlan.OFF);
        SpeculationPlan plan = solver.choose(1, 1, 1000);
        assertTrue(!plan.isOff() && solver.scores(1).get(plan) > 1.1 * off, "the case is as it says: " + plan);
        double tokens = new ExpectedTokens().refresh(tracker).of(plan);
        double seconds = profile.draftSeconds(1, plan, (int) Math.ceil(tokens)) + profile.verifySeconds(1, plan);
        for (int end = 0; end < 40; end++) {
            for (int step = 0; step < 4; step++) {
                solver.observe(SpeculationPlan.OFF, 1, 1, 1, 0, profile.verifySeconds(1, SpeculationPlan.OFF));
            }
            solver.observe(plan, 1, 1, (int) Math.round(tokens), 1.5 * seconds, 1.5 * seconds);
            solver.observe(plan, 1, 1, (int) Math.round(tokens), 0.1 * seconds, 0.9 * seconds);
        }
        // The first step's excess is twice its length.
        solver.observe(SpeculationPlan.OFF, 2, 1, 2, 0, profile.verifySeconds(2, SpeculationPlan.OFF));
        assertTrue(solver.choose(2, 1, 2).isOff());
        assertTrue(solver.choose(1, 1, 9).isOff(), "nine to go");
        assertTrue(solver.choose(4, 4, 1e6).tokens() > 0, "a million to go");
        for (int step = 0; step < 3000; step++) {
            solver.observe(SpeculationPlan.OFF, 2, 1, 2, 0, profile.verifySeconds(2, SpeculationPlan.OFF));
        }
        solver.choose(4, 4, 1e6);
        assertTrue(!solver.choose(1, 1, 9).isOff(), "what was learnt fades while off");
    }

    /** No plan gains more than what is left to draw. */
    @Test
    void theLastTokenIsDrawnPlainly() {
        AcceptanceTracker tracker = taught(12, 6, 5000);
        PlanSolver solver = solver(profile(1e-3, 1e-4, 1e-4, 1e-6), tracker, 0.02, 1 << 20);
        assertTrue(!solver.choose(2, 2, 1e6).isOff());
        assertTrue(solver.choose(1, 1, 1).isOff());
    }

    /** Errors of prediction are what is left when times and tokens are not what was expected. */
    @Test
    void predictionErrorsAreReported() {
        AcceptanceTracker tracker = taught(9, 6, 5000);
        CostProfile profile = profile(1e-3, 1e-4, 1e-4, 1e-6);
        PlanSolver solver = solver(profile, tracker, 0.05, 1 << 20);
        assertTrue(Double.isNaN(solver.costError()) && Double.isNaN(solver.tokensError()));
        SpeculationPlan plan = SpeculationPlan.parse("3x1x3");
        double tokens = new ExpectedTokens().refresh(tracker).of(plan);
        solver.scores(100);
        // Times as predicted, a fifth more tokens.
        solver.observe(plan, 100, 100, (int) Math.round(120 * tokens), profile.draftSeconds(100, plan, (int) Math.ceil(100 * tokens)),
            profile.verifySeconds(100, plan));
        assertEquals(0, solver.costError(), 1e-9);
        assertEquals(1 - 1 / 1.2, solver.tokensError(), 0.01);
        // A step that takes half as long again: an error of a third, averaged with none.
        solver.observe(SpeculationPlan.OFF, 100, 100, 100, 0, 1.5 * profile.verifySeconds(100, SpeculationPlan.OFF));
        assertEquals(1 / 3.0 / 1.99, solver.costError(), 0.003);
        for (int step = 0; step < 400; step++) {
            double seconds = profile.draftSeconds(100, plan, (int) Math.ceil(100 * tokens)) + profile.verifySeconds(100, plan);
            solver.observe(plan, 100, 100, (int) Math.round(120 * tokens), 0.4 * seconds, 1.6 * seconds);
        }
        // Corrections have learnt both.
        assertTrue(solver.costError() < 0.1 && solver.tokensError() < 0.05, solver.costError() + ", " + solver.tokensError());
    }
}

package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.respec.engine.rollout.SmallRollouts.HOT;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.SamplingParams;

/** The same tokens and log-probabilities, bit for bit, whatever the plan, the batch, the pages or the drafter. */
class RolloutEngineTest {
    private static final StopRule STOP = new StopRule(List.of(3), List.of(new int[] {5, 6}));

    @RegisterExtension
    static final SmallRollouts SMALL = new SmallRollouts();

    private static RolloutLimits limits(int maxBatch, int kvPages) {
        return new RolloutLimits(maxBatch, SmallRollouts.LONGEST_PROMPT, 40, 4, kvPages, 5);
    }

    private static Rollout run(SamplingParams sampling, String plan, int maxBatch, int kvPages, StopRule stop) {
        try (RolloutEngine engine = SMALL.engine(limits(maxBatch, kvPages), sampling, stop, plan)) {
            return engine.generate(SMALL.prompts(3));
        }
    }

    /** A prompt's own limit cuts its responses short, at the same tokens as without it. */
    @ParameterizedTest
    @ValueSource(strings = {"off", "3x2x5"})
    void aPromptsLimitCutsItsResponses(String plan) {
        List<Trajectory> whole = run(HOT, "off", 64, 0, Rollouts.NEVER).trajectories();
        int[] most = {1, 40, 9, 41, Integer.MAX_VALUE};
        List<PromptGroup> limited = new ArrayList<>();
        for (PromptGroup prompt : SMALL.prompts(3)) {
            limited.add(new PromptGroup(prompt.prompt(), prompt.samples(), prompt.firstRequestId(), most[limited.size() % most.length]));
        }
        try (RolloutEngine engine = SMALL.engine(limits(64, 0), HOT, Rollouts.NEVER, plan)) {
            List<Trajectory> cut = engine.generate(limited).trajectories();
            assertEquals(whole.size(), cut.size());
            for (int i = 0; i < whole.size(); i++) {
                int length = Math.min(40, most[cut.get(i).group() % most.length]);
                assertArrayEquals(Arrays.copyOf(whole.get(i).response(), length), cut.get(i).response());
                assertEquals(false, cut.get(i).ended());
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"2x1x2,64", "4x4x16,64", "1x3x3,7", "8x2x20,7", "3x2x5,1", "off,1", "off,7", "4x4x16,2"})
    void planAndBatchDoNotMatter(String plan, int maxBatch) {
        for (SamplingParams sampling : List.of(HOT, SamplingParams.GREEDY, new SamplingParams(0.7f, 9, 0.9f))) {
            Rollout reference = run(sampling, "off", 64, 0, STOP);
            Rollout other = run(sampling, plan, maxBatch, 0, STOP);
            Rollouts.assertSame(reference, other, plan + " at batch " + maxBatch + ", " + sampling);
        }
    }

    /** A prompt of one token has no features that its first tree could grow from, be it alone or among others. */
    @Test
    void promptsOfOneTokenSpeculateToo() {
        List<List<PromptGroup>> cases = List.of(List.of(new PromptGroup(new int[] {3}, 1, 0)),
            List.of(new PromptGroup(new int[] {3}, 2, 0), new PromptGroup(new int[] {4}, 1, 2)),
            List.of(new PromptGroup(new int[] {3}, 1, 0), new PromptGroup(new int[] {1, 2, 3}, 2, 1), new PromptGroup(new int[] {5}, 1, 3)));
        for (List<PromptGroup> prompts : cases) {
            RolloutLimits limits = new RolloutLimits(7, 17, 40, 4, 0, 5);
            try (RolloutEngine off = SMALL.engine(limits, HOT, STOP, "off"); RolloutEngine on = SMALL.engine(limits, HOT, STOP, "3x2x6")) {
                Rollout reference = off.generate(prompts);
                Rollouts.assertSame(reference, on.generate(prompts), prompts.size() + " prompts");
                Rollouts.assertSame(reference, on.generate(prompts), prompts.size() + " prompts again");
            }
        }
    }

    /** A fixed plan is kept to at any batch: passes are made as wide as a full one needs. */
    @Test
    void aFixedPlanIsNeverLeftForOff() {
        RolloutLimits narrow = new RolloutLimits(21, 17, 40, 4, 0, 5, 21);
        Rollout reference = run(HOT, "off", 64, 0, STOP);
        for (String plan : List.of("2x1x2", "4x4x16")) {
            try (RolloutEngine engine = SMALL.engine(narrow, HOT, STOP, plan)) {
                Rollout rollout = engine.generate(SMALL.prompts(3));
                assertEquals(List.of(plan), List.copyOf(rollout.stats().plans().keySet()));
                Rollouts.assertSame(reference, rollout, plan);
            }
        }
    }

    /** Whoever chooses a plan that does not fit is at fault: nothing else is run in its place. */
    @Test
    void aPlanThatDoesNotFitIsAnError() {
        PlanPolicy careless = new ForwardingPolicy(new FixedPolicy(SpeculationPlan.parse("4x4x16"))) {
            @Override
            public int rowsEach() {
                return 1;
            }
        };
        try (RolloutEngine engine = SMALL.engine(new RolloutLimits(7, 17, 40, 4, 0, 5, 7), HOT, STOP,
            Drafting.of(Drafting.Kind.EAGLE, 1f), careless)) {
            IllegalStateException e = assertThrows(IllegalStateException.class, () -> engine.generate(SMALL.prompts(3)));
            assertTrue(e.getMessage().contains("4x4x16 for 7 requests"), e.getMessage());
            // Its requests are still live: another rollout's would mix with them.
            e = assertThrows(IllegalStateException.class, () -> engine.generate(SMALL.prompts(3)));
            assertTrue(e.getMessage().contains("failed in the middle"), e.getMessage());
        }
    }

    @Test
    void limitsKeepTheirRows() {
        RolloutLimits narrow = new RolloutLimits(7, 17, 40, 4, 0, 5, 9);
        assertEquals(9, narrow.withPages(80).maxRows());
        assertEquals(9, narrow.withoutCaptures().maxRows());
        assertEquals(9, narrow.withRowsEach(1).maxRows());
        assertEquals(14, narrow.withRowsEach(2).maxRows());
    }

    @ParameterizedTest
    @ValueSource(ints = {34, 40, 60, 100})
    void shortOfPagesRequestsWaitOrArePreempted(int pages) {
        Rollout reference = run(HOT, "off", 64, 0, Rollouts.NEVER);
        for (String plan : List.of("off", "3x2x6")) {
            Rollout tight = run(HOT, plan, 7, pages, Rollouts.NEVER);
            Rollouts.assertSame(reference, tight, plan + " with " + pages + " pages");
            if (pages == 40) {
                assertTrue(tight.stats().preemptions() > 0, "this size is meant to preempt");
            }
        }
    }

    /** What was long goes first the next time: fewer steps, since no long response begins when the rest ends, and the same results. */
    @Test
    void longResponsesAreAdmittedFirst() {
        Rollout reference = run(HOT, "off", 64, 0, STOP);
        List<PromptGroup> shortFirst = new ArrayList<>();
        for (int i : IntStream.range(0, reference.trajectories().size()).boxed()
            .sorted(Comparator.comparingInt(i -> reference.trajectories().get(i).response().length)).toList()) {
            // Prompts of their own, so that each has its own length.
            Trajectory t = reference.trajectories().get(i);
            shortFirst.add(new PromptGroup(t.prompt(), 1, t.requestId()));
        }
        for (String plan : List.of("off", "3x2x6")) {
            try (RolloutEngine engine = SMALL.engine(limits(4, 0), HOT, STOP, plan)) {
                Rollout unknown = engine.generate(shortFirst);
                Rollout known = engine.generate(shortFirst);
                Rollouts.assertSame(unknown, known, plan + ": order of admission");
                for (int i = 0; i < shortFirst.size(); i++) {
                    assertEquals(shortFirst.get(i).firstRequestId(), known.trajectories().get(i).requestId());
                }
                assertTrue(known.stats().steps() < unknown.stats().steps(),
                    plan + ": " + known.stats().steps() + " steps, " + unknown.stats().steps() + " before lengths were known");
            }
        }
    }

    @Test
    void endsWhereItShould() {
        for (String plan : List.of("off", "4x4x16")) {
            Rollout rollout = run(HOT, plan, 7, 0, STOP);
            int ended = 0;
            for (Trajectory t : rollout.trajectories()) {
                int[] r = t.response();
                boolean stops = r[r.length - 1] == 3 || (r.length > 1 && r[r.length - 2] == 5 && r[r.length - 1] == 6);
                assertEquals(stops, t.ended());
                assertTrue(t.ended() || r.length == 40);
                for (int i = 0; i < r.length - 1; i++) {
                    assertTrue(r[i] != 3 && !(r[i] == 5 && r[i + 1] == 6 && i + 1 < r.length - 1), "an ending inside a response");
                }
                ended += t.ended() ? 1 : 0;
            }
            assertTrue(ended > 0 && ended < rollout.trajectories().size(), "both ways of ending must occur: " + ended);
        }
    }

    @Test
    void byProductsDoNotDependOnPlanOrBatch() {
        Rollout a = run(HOT, "off", 64, 0, STOP);
        Rollouts.assertSameCaptures(a.trajectories(), run(HOT, "4x3x9", 5, 0, STOP).trajectories(), "4x3x9");
        for (int i = 0; i < a.trajectories().size(); i++) {
            CapturedRows x = a.trajectories().get(i).capture();
            assertEquals(a.trajectories().get(i).length() - 1, x.rows());
            double mass = Math.exp(x.teacherTails().getAtIndex(ValueLayout.JAVA_FLOAT, 0));
            for (int k = 0; k < 5; k++) {
                mass += Math.exp(x.teacherLogProbs().getAtIndex(ValueLayout.JAVA_FLOAT, k));
            }
            assertEquals(1, mass, 1e-4);
        }
    }

    /** With a bound the last requests' rows are kept, whenever they end, and are the same; of the others only how many there are. */
    @ParameterizedTest
    @ValueSource(ints = {64, 5, 1})
    void capturesAreBounded(int maxBatch) {
        List<Trajectory> all = run(HOT, "off", 64, 0, STOP).trajectories();
        int room = 200;
        try (RolloutEngine engine = SMALL.engine(limits(maxBatch, 0).withCaptureRows(room), HOT, STOP, "3x2x5")) {
            List<Trajectory> bounded = engine.generate(SMALL.prompts(3)).trajectories();
            Rollouts.assertSame(all, bounded, "batch " + maxBatch);
            int after = 0;
            int kept = 0;
            for (int i = all.size() - 1; i >= 0; i--) {
                CapturedRows want = all.get(i).capture();
                CapturedRows got = bounded.get(i).capture();
                assertEquals(want.rows(), got.rows());
                assertEquals(want.firstTaught(), got.firstTaught());
                assertEquals(after < room, got.kept(), "request " + i + " with " + after + " rows after it");
                if (got.kept()) {
                    Rollouts.assertSameCaptures(List.of(all.get(i)), List.of(bounded.get(i)), "request " + i);
                    kept++;
                }
                after += want.rows() >= 2 ? want.rows() : 0;
            }
            assertTrue(kept > 1 && kept < all.size() - 1, kept + " of " + all.size() + " kept");
        }
    }

    @Test
    void steadyStateAllocatesNothing() {
        List<PromptGroup> four = List.of(new PromptGroup(new int[] {1, 2, 3}, 4, 5));
        for (String plan : List.of("off", "3x2x6")) {
            try (RolloutEngine engine = SMALL.engine(new RolloutLimits(4, 17, 400, 16, 0, 5), HOT, Rollouts.NEVER, plan)) {
                Rollouts.assertSteadyStateAllocatesNothing(engine, round -> four, 60, "plan " + plan);
            }
        }
    }
}

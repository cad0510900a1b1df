package org.respec.engine.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.AcceptanceTable;
import org.respec.engine.speculation.ExpectedTokens;
import org.respec.engine.speculation.PlanCosts;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;

class SimulationTest {
    private static final AcceptanceTable RANKED = new AcceptanceTable(new double[][] {{0.64, 0.13, 0.06, 0.03}, {0.6, 0.13, 0.06, 0.03},
        {0.57, 0.13, 0.06, 0.03}, {0.55, 0.12, 0.06, 0.03}});

    /** Milliseconds: so much a pass and a row, for the actor and for the drafter. */
    private record Linear(double verify, double verifyRow, double draft, double draftRow) implements PlanCosts {
        @Override
        public double verifySeconds(int batch, SpeculationPlan plan) {
            return 1e-3 * (verify + verifyRow * batch * (plan.tokens() + 1));
        }

        @Override
        public double draftSeconds(int batch, SpeculationPlan plan, int rows) {
            return 1e-3 * (plan.depth() * draft + draftRow * batch * (2 + (plan.depth() - 1) * plan.branch()));
        }

        @Override
        public double extendSeconds(int batch, int rows) {
            return 1e-3 * (draft + draftRow * rows);
        }
    }

    private static List<SpeculationPlan> plans(String... names) {
        List<SpeculationPlan> plans = new ArrayList<>(List.of(SpeculationPlan.OFF));
        for (String name : names) {
            plans.add(SpeculationPlan.parse(name));
        }
        return plans;
    }

    private static SimulationSettings settings(int batch, int workers, double noise) {
        return new SimulationSettings(batch, workers, 0, 1 << 20, 0.05, noise, 5);
    }

    private static TraceRequest request(int tokens) {
        return new TraceRequest(tokens, 0, -1, null);
    }

    /** The verified tree's nodes have the chances that the solver's expectation adds up. */
    @Test
    void treesAreThoseOfTheExpectation() {
        for (SpeculationPlan plan : PlanSolver.candidates(8, 8, 63)) {
            double want = new ExpectedTokens().refresh(RANKED).of(plan);
            assertEquals(want, 1 + below(new VerifiedTree(plan, RANKED), plan, 0, 1), 1e-12, plan.toString());
        }
    }

    private static double below(VerifiedTree tree, SpeculationPlan plan, int node, int depth) {
        double sum = 0;
        for (int rank = 0; rank < plan.branch() && depth <= plan.depth(); rank++) {
            int child = tree.child(node, rank);
            if (child >= 0) {
                sum += RANKED.chance(depth, rank) * (1 + below(tree, plan, child, depth + 1));
            }
        }
        return sum;
    }

    /** Ten requests of 1 to 10 tokens, four at a time, without noise: every step can be counted by hand. */
    @Test
    void timeIsThatOfTheSteps() {
        List<TraceRequest> trace = new ArrayList<>();
        for (int tokens = 1; tokens <= 10; tokens++) {
            trace.add(request(tokens));
        }
        // All tokens are the drafter's first choices, so 2x1x2 draws three at a step.
        AcceptanceTable sure = new AcceptanceTable(new double[][] {{1}});
        Linear costs = new Linear(10, 1, 2, 0.5);
        SimulationReport report = new Simulation(plans("2x1x2"), trace, sure, costs, costs, settings(4, 1, 0)).run();
        assertEquals(55, report.off().tokens());
        assertEquals(byHand(trace, 1, batch -> 1e-3 * (10 + batch)), report.off().seconds(), 1e-12);
        SimulationReport.Line chain = report.statics().get(1);
        assertEquals(55, chain.tokens());
        assertEquals(byHand(trace, 3, batch -> 1e-3 * (10 + 3 * batch + 2 * 2 + 0.5 * 3 * batch)), chain.seconds(), 1e-12);
        assertEquals(1, report.off().acceptLength());
        assertTrue(chain.acceptLength() > 2 && chain.acceptLength() <= 3, chain.toString());
        assertEquals(report.hindsight().plans(), chain.plans());
        assertEquals(0, chain.stepLoss());
        assertTrue(report.off().stepLoss() > 0.25, report.off().toString());
    }

    /** A plan that is kept to has passes as wide as it needs; who chooses keeps to the widest there is. */
    @Test
    void onlyThoseWhoChooseLeavePlansOut() {
        List<TraceRequest> trace = List.of(request(30), request(30), request(60));
        Linear costs = new Linear(10, 0, 0, 0);
        SimulationReport report = new Simulation(plans("2x1x2"), trace, new AcceptanceTable(new double[][] {{1}}), costs, costs,
            new SimulationSettings(3, 1, 0, 5, 0.05, 0, 5)).run();
        assertEquals(Map.of("2x1x2", 20L), report.statics().get(1).plans());
        assertEquals(Map.of("off", 30L, "2x1x2", 10L), report.hindsight().plans());
        assertTrue(report.adaptive().plans().get("off") >= 30, report.adaptive().toString());
    }

    private static double byHand(List<TraceRequest> trace, int each, ToDoubleFunction<Integer> seconds) {
        List<Integer> waiting = new ArrayList<>(trace.stream().map(TraceRequest::tokens).toList());
        List<Integer> live = new ArrayList<>();
        double sum = 0;
        while (true) {
            while (live.size() < 4 && !waiting.isEmpty()) {
                live.add(waiting.removeFirst());
            }
            if (live.isEmpty()) {
                return sum;
            }
            sum += seconds.applyAsDouble(live.size());
            live.replaceAll(left -> left - each);
            live.removeIf(left -> left <= 0);
        }
    }

    /** Turning on after a stretch of off pays for the tokens that the drafter missed, once. */
    @Test
    void missedTokensArePaidFor() {
        World world = new World(plans("2x1x2"), List.of(request(400)), new AcceptanceTable(new double[][] {{0}}), new Linear(10, 1, 2, 0.5),
            settings(1, 1, 0));
        int[] asked = {0};
        Worker worker = new Worker(world, 0, new PlanPolicy() {
            @Override
            public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
                // Of the first token nothing is known; from then on a step of off adds one, and a step of a plan leaves one.
                assertEquals(asked[0] <= 100 ? asked[0] + 1 : 1, missedRows);
                return world.plans.get(asked[0]++ < 100 ? 0 : 1);
            }

            @Override
            public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
                assertEquals(1, tokens);
            }

            @Override
            public void observeRank(int request, int depth, int rank, int named) {
                assertEquals(-1, rank);
            }
        });
        double plain = 100 * 11 + 300 * (13 + 4 + 0.5 * 3);
        assertEquals(1e-3 * (plain + 2 + 0.5 * (101 - 3)), worker.rollout(new int[] {0}, 0), 1e-9);
    }

    @Test
    void requestsWaitForTheirArrivalAndGroupsStayTogether() {
        AcceptanceTable sure = new AcceptanceTable(new double[][] {{1}});
        Linear costs = new Linear(10, 0, 2, 0.5);
        List<TraceRequest> trace = List.of(new TraceRequest(3, 5, -1, null), new TraceRequest(2, 0, -1, null),
            new TraceRequest(4, 5.001, -1, null));
        // The second runs alone; then the first begins at 5 s, and the third, come in between, joins it in its second step.
        assertEquals(5 + 0.05, new Simulation(plans(), trace, sure, costs, costs, settings(4, 1, 0)).run().off().seconds(), 1e-12);
        List<TraceRequest> groups = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            groups.add(new TraceRequest(1, 0, i % 3, null));
        }
        List<int[]> shares = new World(plans(), groups, sure, costs, settings(4, 2, 0)).rollouts().getFirst();
        assertEquals("[0, 2, 3, 5, 6, 8, 9, 11]", java.util.Arrays.toString(shares.get(0)));
        assertEquals("[1, 4, 7, 10]", java.util.Arrays.toString(shares.get(1)));
    }

    /**
     * Nothing is known of how much is left in a first rollout; later ones know how long responses to these prompts were, begin with the
     * longest, and begin when the last of the rollout before has ended.
     */
    @Test
    void laterRolloutsKnowHowLongResponsesAre() {
        Linear costs = new Linear(10, 0, 2, 0.5);
        List<TraceRequest> trace = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            trace.add(new TraceRequest(i % 4 == 3 ? 30 : 3, 0, i % 4, null));
        }
        World world = new World(plans(), trace, RANKED, costs, new SimulationSettings(1, 1, 4, 1 << 20, 0.05, 0, 5));
        List<Double> remaining = new ArrayList<>();
        Worker worker = new Worker(world, 0, new PlanPolicy() {
            @Override
            public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
                remaining.add(remainingTokens);
                return SpeculationPlan.OFF;
            }

            @Override
            public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
                // Only what it is asked counts.
            }

            @Override
            public void observeRank(int request, int depth, int rank, int named) {
                throw new AssertionError("nothing speculates");
            }
        });
        double now = 0;
        for (List<int[]> shares : world.rollouts()) {
            now = worker.rollout(shares.getFirst(), now);
        }
        assertEquals(2 * 39 * 0.01, now, 1e-9);
        assertEquals(2 * 39, remaining.size());
        assertTrue(remaining.subList(0, 39).stream().allMatch(left -> left.isNaN()), remaining.toString());
        assertEquals(39, remaining.get(39), 10);
        // The longest goes first: once it is longer than others were, each of its tokens is one less to come.
        for (int step = 39 + 10; step < 39 + 30; step++) {
            assertEquals(1, remaining.get(step - 1) - remaining.get(step), 1e-6, step + " of " + remaining);
        }
        assertEquals(4, remaining.getLast(), 3);
        // Two workers share each rollout, and wait for each other.
        Simulation simulation = new Simulation(plans(), trace, RANKED, costs, costs, new SimulationSettings(1, 2, 4, 1 << 20, 0.05, 0, 5));
        assertEquals(2 * 33 * 0.01, simulation.run().off().seconds(), 1e-9);
    }

    @Test
    void theSameSeedGivesTheSameReport() {
        List<TraceRequest> trace = new TraceGenerator(60, 80, 1, 500, 4, 0.4).generate(9, RANKED);
        assertEquals(trace, new TraceGenerator(60, 80, 1, 500, 4, 0.4).generate(9, RANKED));
        assertNotEquals(trace, new TraceGenerator(60, 80, 1, 500, 4, 0.4).generate(10, RANKED));
        Linear costs = new Linear(8, 0.1, 0.6, 0.004);
        SimulationReport report = new Simulation(plans("2x1x2", "4x2x8"), trace, RANKED, costs, costs, settings(16, 2, 0.05)).run();
        assertEquals(report, new Simulation(plans("2x1x2", "4x2x8"), trace, RANKED, costs, costs, settings(16, 2, 0.05)).run());
        report.statics().forEach(line -> assertEquals(report.adaptive().tokens(), line.tokens()));
        // What was accepted is what the chances say.
        double want = new ExpectedTokens().refresh(RANKED).of(SpeculationPlan.parse("4x2x8"));
        assertEquals(want, report.statics().get(2).acceptLength(), 0.06 * want);
    }

    private static final List<SpeculationPlan> SOME = plans("1x1x1", "2x1x2", "3x1x3", "2x2x4", "3x2x6", "4x2x8", "4x2x12", "4x4x16",
        "5x4x24", "6x4x32");

    /** A few thousand requests whose lengths have a long tail, on several workers, the solver beginning with what it hopes. */
    private static SimulationReport rollout(PlanCosts believed, PlanCosts truth) {
        return rollouts(0, believed, truth);
    }

    /** The same, in rollouts of so many requests; 0 for all in one. */
    private static SimulationReport rollouts(int requests, PlanCosts believed, PlanCosts truth) {
        List<TraceRequest> trace = new TraceGenerator(3000, 150, 1, 3000, 8, 0.4).generate(21, RANKED);
        return new Simulation(SOME, trace, RANKED, believed, truth, new SimulationSettings(64, 4, requests, 1 << 20, 0.05, 0.03, 5)).run();
    }

    private static void assertGood(SimulationReport report) {
        assertTrue(report.regret() <= 0.05, "regret " + report.regret());
        assertTrue(report.busyRegret() <= 0.05, "regret of busy time " + report.busyRegret());
        for (SimulationReport.Line line : report.statics()) {
            assertTrue(report.adaptive().seconds() < line.seconds(), "adaptive takes " + report.adaptive().seconds() + " s, " + line);
        }
    }

    /** Speculation doubles the speed of one request, and halves that of many. */
    @Test
    void adaptiveIsBestWhereSpeculationPaysAtSmallBatches() {
        Linear costs = new Linear(8, 0.3, 0.6, 0.01);
        SimulationReport report = rollout(costs, costs);
        assertTrue(report.hindsight().plans().get("off") > 0, "off pays somewhere: " + report.hindsight());
        assertGood(report);
    }

    /** The same in rollouts each with a tail of its own, from the second of which on about how much is left is known. */
    @Test
    void adaptiveIsBestOverRolloutsWithTails() {
        Linear costs = new Linear(8, 0.3, 0.6, 0.01);
        SimulationReport report = rollouts(512, costs, costs);
        assertTrue(report.off().seconds() > 1.1 * rollout(costs, costs).off().seconds(), "tails take time: " + report.off());
        assertGood(report);
    }

    /** Rows are nearly free: large trees pay at any batch. */
    @Test
    void adaptiveIsBestWhereDeepPlansAlwaysPay() {
        Linear costs = new Linear(8, 0.004, 0.15, 0.0005);
        SimulationReport report = rollout(costs, costs);
        assertTrue(report.bestStatic().seconds() < 0.6 * report.off().seconds(), "speculation pays all the time");
        assertGood(report);
    }

    /** The solver's profile is of a machine half, or twice, as fast at what speculation needs; what steps take puts it right. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aMistakenProfileIsPutRight(boolean hopeful) {
        Linear fast = new Linear(8, 0.05, 0.4, 0.005);
        Linear slow = new Linear(8, 0.1, 0.6, 0.01);
        assertGood(rollout(hopeful ? fast : slow, hopeful ? slow : fast));
    }
}

package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Acceptance that is set: the shares are met, and paths are ones that a tree of the plan can have. */
class ImposedAcceptanceTest {
    @Test
    void sharesAreMetToOneCase() {
        double[] profile = {0.8, 0.7, 0.1};
        SpeculationPlan plan = SpeculationPlan.parse("4x2x8");
        // Trees share nodes, so that one may have few or none.
        int[] nodes = {8, 13, 3, 1, 0};
        int requests = nodes.length;
        int steps = 400;
        int[] tried = new int[plan.depth() + 1];
        int[] reached = new int[plan.depth() + 1];
        try (Ops ops = Backends.open("cpu", 1); TensorArena arena = ops.arena("test")) {
            VerifyResult result = VerifyResult.allocate(arena, requests);
            RowBatch rows = RowBatch.allocate(arena, 64, requests);
            MemorySegment first = rows.firstRows().host().host();
            for (int r = 0; r < requests; r++) {
                first.setAtIndex(ValueLayout.JAVA_INT, r + 1L, first.getAtIndex(ValueLayout.JAVA_INT, r) + 1 + nodes[r]);
            }
            MemorySegment lengths = result.pathLengths().host().host();
            ImposedAcceptance acceptance = new ImposedAcceptance(profile);
            for (int i = 0; i < steps; i++) {
                acceptance.decide(result, rows, requests, plan);
                for (int r = 0; r < requests; r++) {
                    int levels = Math.min(plan.depth(), nodes[r]);
                    int length = lengths.getAtIndex(ValueLayout.JAVA_INT, r);
                    assertTrue(length >= 1 && length <= levels + 1);
                    assertEquals(levels, acceptance.levels(r));
                    int before = -1;
                    for (int d = 0; d < length; d++) {
                        reached[d]++;
                        int node = result.pathNodes().host().host().getAtIndex(ValueLayout.JAVA_INT, (long) r * TreeBatch.MAX_NODES + d);
                        assertTrue(node > before && node <= nodes[r] && (d > 0 || node == 0), "node " + node);
                        before = node;
                        if (d < levels) {
                            tried[d + 1]++;
                        }
                    }
                }
            }
        }
        assertEquals(requests * steps, reached[0]);
        for (int d = 1; d <= plan.depth(); d++) {
            assertEquals(profile[Math.min(d, profile.length) - 1] * tried[d], reached[d], 1.01);
        }
    }

    /** An engine on weights that mean nothing gains what was set, and the policy hears of it and of nothing else. */
    @Test
    void thePolicyHearsWhatWasSet() {
        double[] profile = {0.8, 0.5};
        SpeculationPlan plan = SpeculationPlan.parse("3x1x3");
        ModelConfig config = TestModels.actorConfig(true);
        try (Ops ops = Backends.open("cpu", 1);
             Actor actor = TestModels.actor(ops, config, 41);
             Drafter drafter = TestModels.drafter(ops, TestModels.drafterConfig(config), actor, 42)) {
            int[] tries = new int[4];
            int[] hits = new int[4];
            PlanPolicy listener = new PlanPolicy() {
                @Override
                public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
                    return plan;
                }

                @Override
                public void observeStep(SpeculationPlan of, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
                    assertEquals(plan, of);
                }

                @Override
                public void observeRank(int request, int depth, int rank, int named) {
                    assertEquals(1, named);
                    tries[depth]++;
                    hits[depth] += rank + 1;
                }
            };
            try (RolloutEngine engine = new RolloutEngine(ops, actor, drafter, new RolloutLimits(2, 8, 90, 16, 0, 0),
                SamplingParams.temperature(1f), 7, new StopRule(List.of(), List.of()), listener, true, 1f)) {
                engine.impose(new ImposedAcceptance(profile));
                RolloutStats stats = engine.generate(List.of(new PromptGroup(new int[] {1, 2, 3}, 4, 0))).stats();
                // The last tree of each response may be cut.
                assertEquals(1 + 0.8 + 0.8 * 0.5 + 0.8 * 0.25, stats.acceptLength(), 4.0 * 3 * 4 / stats.steps());
                assertEquals(stats.steps(), (tries[1] + 1) / 2, 4, "two requests a step");
            }
            assertEquals(0.8 * tries[1], hits[1], 1.01);
            assertEquals(0.5 * tries[2], hits[2], 1.01);
            assertEquals(0.5 * tries[3], hits[3], 1.01);
            assertEquals(hits[1], tries[2]);
        }
    }

    /** The deepest level of the deepest plan is accepted too, whatever the nodes of such a path are to each other. */
    @ParameterizedTest
    @ValueSource(strings = {"8x1x8", "8x2x16"})
    void everyLevelCanBeAccepted(String plan) {
        ModelConfig config = TestModels.actorConfig(true);
        try (Ops ops = Backends.open("cpu", 1);
             Actor actor = TestModels.actor(ops, config, 43);
             Drafter drafter = TestModels.drafter(ops, TestModels.drafterConfig(config), actor, 44);
             RolloutEngine engine = new RolloutEngine(ops, actor, drafter, new RolloutLimits(2, 8, 90, 16, 0, 0),
                 SamplingParams.temperature(1f), 7, new StopRule(List.of(), List.of()), new FixedPolicy(SpeculationPlan.parse(plan)), true,
                 1f)) {
            engine.impose(new ImposedAcceptance(1));
            RolloutStats stats = engine.generate(List.of(new PromptGroup(new int[] {1, 2, 3}, 2, 0))).stats();
            assertEquals(TreeBatch.MAX_DEPTH + 1, stats.acceptLength());
            assertEquals(90 / (TreeBatch.MAX_DEPTH + 1), stats.steps());
        }
    }
}

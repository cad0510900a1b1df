package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Acceptance that is set: the shares are met, and paths are ones that a tree of the plan can have. */
class ImposedAcceptanceTest {
    @Test
    void sharesAreMetToOneCase() {
        double[] profile = {0.8, 0.7, 0.1};
        SpeculationPlan plan = SpeculationPlan.parse("4x2x8");
        int requests = 5;
        int steps = 400;
        int[] reached = new int[6];
        try (Ops ops = Backends.open("cpu", 1); TensorArena arena = ops.arena("test")) {
            VerifyResult result = VerifyResult.allocate(arena, requests);
            ImposedAcceptance acceptance = new ImposedAcceptance(profile);
            for (int i = 0; i < steps; i++) {
                acceptance.decide(result, requests, plan);
                for (int r = 0; r < requests; r++) {
                    int length = result.pathLengths().host().host().getAtIndex(ValueLayout.JAVA_INT, r);
                    assertTrue(length >= 1 && length <= plan.depth() + 1);
                    int before = -1;
                    for (int d = 0; d < length; d++) {
                        reached[d]++;
                        int node = result.pathNodes().host().host().getAtIndex(ValueLayout.JAVA_INT, (long) r * TreeBatch.MAX_NODES + d);
                        assertTrue(node > before && node <= plan.tokens() && (d > 0 || node == 0), "node " + node);
                        before = node;
                    }
                }
                int first = result.pathLengths().host().host().getAtIndex(ValueLayout.JAVA_INT, 0);
                result.pathLengths().host().host().setAtIndex(ValueLayout.JAVA_INT, 0, 99);
                acceptance.repeat(result, requests, plan);
                assertEquals(first, result.pathLengths().host().host().getAtIndex(ValueLayout.JAVA_INT, 0));
            }
        }
        assertEquals(requests * steps, reached[0]);
        for (int d = 1; d <= plan.depth(); d++) {
            assertEquals(profile[Math.min(d, profile.length) - 1] * reached[d - 1], reached[d], 1.01);
        }
    }
}

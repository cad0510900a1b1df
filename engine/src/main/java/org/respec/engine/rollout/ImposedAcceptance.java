package org.respec.engine.rollout;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/**
 * Decides in place of the actor how much of each tree is accepted, so that decoding can be timed with weights that mean nothing.
 * Level d of a tree whose levels before were accepted is accepted in the share {@code profile[d - 1]} of cases, by counters and not
 * by chance: over many trees the shares are met to one case.
 */
final class ImposedAcceptance {
    private final double[] profile;
    private final double[] owed;
    private int[] accepted = new int[0];

    /** @param profile conditional acceptance by level, 0 to 1; the last holds for all deeper levels */
    ImposedAcceptance(double[] profile) {
        this.profile = profile.clone();
        this.owed = new double[TreeBatch.MAX_DEPTH];
    }

    /** Chooses the outcome of {@code requests} trees, and puts it in the place of theirs on the host. */
    void decide(VerifyResult result, int requests, SpeculationPlan plan) {
        int depth = Math.min(plan.depth(), plan.tokens());
        if (accepted.length < requests) {
            accepted = new int[requests];
        }
        for (int r = 0; r < requests; r++) {
            accepted[r] = 0;
            while (accepted[r] < depth && accepts(accepted[r])) {
                accepted[r]++;
            }
        }
        repeat(result, requests, plan);
    }

    /** Puts the outcome that was chosen last in the place of the trees' once more. */
    void repeat(VerifyResult result, int requests, SpeculationPlan plan) {
        MemorySegment lengths = result.pathLengths().host().host();
        MemorySegment nodes = result.pathNodes().host().host();
        int depth = Math.min(plan.depth(), plan.tokens());
        for (int r = 0; r < requests; r++) {
            lengths.setAtIndex(ValueLayout.JAVA_INT, r, accepted[r] + 1);
            for (int d = 0; d <= accepted[r]; d++) {
                // Spread over the tree, as paths are: what is accepted then has to be moved to its place, which costs time.
                nodes.setAtIndex(ValueLayout.JAVA_INT, (long) r * TreeBatch.MAX_NODES + d, d * plan.tokens() / depth);
            }
        }
    }

    /** Levels accepted of a tree that was decided last. */
    int accepted(int request) {
        return accepted[request];
    }

    private boolean accepts(int level) {
        owed[level] += profile[Math.min(level, profile.length - 1)];
        // A little under 1: ten times 0.1 is less than 1 in binary.
        if (owed[level] >= 1 - 1e-9) {
            owed[level] -= 1;
            return true;
        }
        return false;
    }
}

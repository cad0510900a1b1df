package org.respec.engine.rollout;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.RowBatch;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/**
 * Decides in place of the actor how much of each tree is accepted, so that decoding can be timed with weights that mean nothing.
 * Level d of a tree whose levels before were accepted is accepted in the share {@code profile[d - 1]} of cases, by counters and not
 * by chance: over many trees the shares are met to one case. A tree of fewer nodes than its plan has levels has as many levels as nodes.
 * One of these belongs to one engine: see {@link RolloutEngine#impose}.
 */
public final class ImposedAcceptance {
    private final double[] profile;
    private final double[] owed;
    private int[] accepted = new int[0];
    private int[] levels = new int[0];

    /** @param profile conditional acceptance by level, 0 to 1; the last holds for all deeper levels */
    public ImposedAcceptance(double... profile) {
        this.profile = profile.clone();
        this.owed = new double[TreeBatch.MAX_DEPTH];
    }

    /**
     * Chooses the outcome of {@code requests} trees, and puts it in the place of theirs on the host.
     *
     * @param rows the pass over the trees: a request's first row is its root, the others are its tree's nodes
     */
    void decide(VerifyResult result, RowBatch rows, int requests, SpeculationPlan plan) {
        if (accepted.length < requests) {
            accepted = new int[requests];
            levels = new int[requests];
        }
        MemorySegment lengths = result.pathLengths().host().host();
        MemorySegment path = result.pathNodes().host().host();
        for (int r = 0; r < requests; r++) {
            int nodes = nodes(rows, r);
            accepted[r] = 0;
            levels[r] = Math.min(plan.depth(), nodes);
            while (accepted[r] < levels[r] && accepts(accepted[r])) {
                accepted[r]++;
            }
            lengths.setAtIndex(ValueLayout.JAVA_INT, r, accepted[r] + 1);
            for (int d = 0; d <= accepted[r]; d++) {
                // Spread over the tree, as paths are: what is accepted then has to be moved to its place, which costs time.
                path.setAtIndex(ValueLayout.JAVA_INT, (long) r * TreeBatch.MAX_NODES + d, d == 0 ? 0 : d * nodes / levels[r]);
            }
        }
    }

    /** Tells of the trees that were decided last: of every level that was tried, whether it was accepted. */
    void tell(PlanPolicy policy, int requests, int branch) {
        for (int r = 0; r < requests; r++) {
            for (int depth = 1; depth <= Math.min(levels[r], accepted[r] + 1); depth++) {
                // A path is one of first choices: what a level has beside them is never taken.
                policy.observeRank(r, depth, depth <= accepted[r] ? 0 : -1, branch);
            }
        }
    }

    /** Nodes of a request's tree beside the root. */
    private static int nodes(RowBatch rows, int r) {
        MemorySegment first = rows.firstRows().host().host();
        return first.getAtIndex(ValueLayout.JAVA_INT, r + 1L) - first.getAtIndex(ValueLayout.JAVA_INT, r) - 1;
    }

    /** Levels of a tree that was decided last. */
    int levels(int request) {
        return levels[request];
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

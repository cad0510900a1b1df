package org.respec.engine.simulate;

import java.util.Arrays;
import java.util.Comparator;
import org.respec.engine.speculation.Acceptance;
import org.respec.engine.speculation.SpeculationPlan;

/** The tree that a plan verifies where chances are known: that of the plan solver's expected tokens, its nodes named. */
final class VerifiedTree {
    private static final int NONE = -1;

    private final int branch;
    /** At {@code [node * branch + rank]}: the child, or NONE where it is not verified; node 0 is the root. */
    private final int[] children;
    /** Whether the drafter named a node's children. */
    private final boolean[] expanded;

    VerifiedTree(SpeculationPlan plan, Acceptance acceptance) {
        branch = plan.branch();
        int most = branch + (plan.depth() - 1) * branch * branch;
        int[] parents = new int[most + 1];
        int[] ranks = new int[most + 1];
        double[] chances = new double[most + 1];
        boolean[] named = new boolean[most + 1];
        chances[0] = 1;
        Integer[] frontier = {0};
        int count = 1;
        for (int depth = 1; depth <= plan.depth(); depth++) {
            Integer[] level = new Integer[frontier.length * branch];
            for (int p = 0; p < frontier.length; p++) {
                named[frontier[p]] = true;
                for (int rank = 0; rank < branch; rank++) {
                    parents[count] = frontier[p];
                    ranks[count] = rank;
                    chances[count] = chances[frontier[p]] * acceptance.chance(depth, rank);
                    level[p * branch + rank] = count++;
                }
            }
            Arrays.sort(level, likeliestFirst(chances));
            frontier = Arrays.copyOf(level, Math.min(branch, level.length));
        }
        Integer[] pool = new Integer[count - 1];
        Arrays.setAll(pool, i -> i + 1);
        Arrays.sort(pool, likeliestFirst(chances));
        int[] node = new int[count];
        Arrays.fill(node, NONE);
        node[0] = 0;
        int nodes = Math.min(plan.tokens(), pool.length);
        children = new int[(nodes + 1) * branch];
        Arrays.fill(children, NONE);
        expanded = new boolean[nodes + 1];
        expanded[0] = true;
        // A child is no likelier than its parent and comes after it, so parents are nodes before their children are.
        for (int i = 0; i < nodes; i++) {
            int candidate = pool[i];
            node[candidate] = i + 1;
            expanded[i + 1] = named[candidate];
            children[node[parents[candidate]] * branch + ranks[candidate]] = i + 1;
        }
    }

    private static Comparator<Integer> likeliestFirst(double[] chances) {
        return Comparator.<Integer>comparingDouble(i -> -chances[i]).thenComparingInt(i -> i);
    }

    /** The child of {@code node} that holds the drafter's choice {@code rank}, or -1 if it is not verified. */
    int child(int node, int rank) {
        return rank >= branch ? NONE : children[node * branch + rank];
    }

    /** Whether the drafter named children of {@code node}. */
    boolean expanded(int node) {
        return expanded[node];
    }

    /** What {@code rank} is to one who sees only the named choices. */
    int seen(int rank) {
        return rank < branch ? rank : NONE;
    }
}

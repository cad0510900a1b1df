package org.respec.engine.simulate;

import java.util.List;
import org.respec.engine.speculation.Acceptance;
import org.respec.engine.speculation.ExpectedTokens;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.TreeBatch;

/** What requests of one acceptance do under each plan: computed once, shared by all of them. */
final class Behaviour {
    private final double[][] upTo = new double[TreeBatch.MAX_DEPTH + 1][TreeBatch.MAX_BRANCH];
    private final VerifiedTree[] trees;
    private final double[] expected;

    Behaviour(List<SpeculationPlan> plans, Acceptance acceptance) {
        for (int depth = 1; depth <= TreeBatch.MAX_DEPTH; depth++) {
            double sum = 0;
            for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
                sum += acceptance.chance(depth, rank);
                upTo[depth][rank] = sum;
            }
        }
        ExpectedTokens tokens = new ExpectedTokens().refresh(acceptance);
        trees = new VerifiedTree[plans.size()];
        expected = new double[plans.size()];
        for (int p = 0; p < trees.length; p++) {
            trees[p] = plans.get(p).isOff() ? null : new VerifiedTree(plans.get(p), acceptance);
            expected[p] = tokens.of(plans.get(p));
        }
    }

    /** Null where the plan is off. */
    VerifiedTree tree(int plan) {
        return trees[plan];
    }

    /** Expected tokens of a step. */
    double expected(int plan) {
        return expected[plan];
    }

    /** Which of the drafter's choices a token is that has the place {@code uniform} among them; MAX_BRANCH for none. */
    int rank(int depth, double uniform) {
        if (depth > TreeBatch.MAX_DEPTH) {
            return TreeBatch.MAX_BRANCH;
        }
        int rank = 0;
        while (rank < TreeBatch.MAX_BRANCH && uniform >= upTo[depth][rank]) {
            rank++;
        }
        return rank;
    }
}

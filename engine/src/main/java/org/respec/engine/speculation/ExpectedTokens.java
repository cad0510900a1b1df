package org.respec.engine.speculation;

import java.util.Arrays;
import org.respec.kernels.TreeBatch;

/**
 * Tokens that a step of a plan is expected to gain: 1 for the bonus plus the chances of all verified nodes, a node's chance being the
 * product of its ranks' chances from the root down, over the best tree that the plan allows (as Sequoia builds its trees; Chen et
 * al., 2024). Real trees adapt to the drafter's scores and do better; the solver calibrates for that.
 */
public final class ExpectedTokens {
    private final double[][] chances = new double[TreeBatch.MAX_DEPTH + 1][TreeBatch.MAX_BRANCH];
    private final Pool[] pools = new Pool[TreeBatch.MAX_BRANCH + 1];

    /** Nothing is expected before the first {@link #refresh}. */
    public ExpectedTokens() {
        for (int branch = 1; branch < pools.length; branch++) {
            pools[branch] = new Pool(branch);
        }
    }

    /** Takes the chances that the next {@link #of} works with. */
    public ExpectedTokens refresh(Acceptance acceptance) {
        for (int depth = 1; depth <= TreeBatch.MAX_DEPTH; depth++) {
            for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
                chances[depth][rank] = acceptance.chance(depth, rank);
            }
        }
        for (int branch = 1; branch < pools.length; branch++) {
            pools[branch].clear();
        }
        return this;
    }

    /** Expected tokens per request and step, bonus included; quicker where plans of the same branch come in the order of their depths. */
    public double of(SpeculationPlan plan) {
        if (plan.isOff()) {
            return 1;
        }
        Pool pool = pools[plan.branch()];
        if (pool.depth > plan.depth()) {
            pool.clear();
        }
        while (pool.depth < plan.depth()) {
            pool.grow(chances[pool.depth + 1]);
        }
        return pool.best(plan.tokens());
    }

    /** The likeliest candidates of trees of one branch, level by level. */
    private static final class Pool {
        private final int branch;
        private int depth;
        /** Chances of the level's nodes that are expanded, in falling order. */
        private final double[] parents;
        private int expanded;
        private final double[] level;
        /** Chances of the best candidates, in falling order. */
        private double[] best = new double[TreeBatch.MAX_NODES];
        private double[] merged = new double[TreeBatch.MAX_NODES];
        private int count;

        Pool(int branch) {
            this.branch = branch;
            parents = new double[branch];
            level = new double[branch * branch];
            clear();
        }

        void clear() {
            depth = 0;
            parents[0] = 1;
            expanded = 1;
            count = 0;
        }

        /** Adds a level whose choices have these chances. */
        void grow(double[] choices) {
            int named = 0;
            for (int p = 0; p < expanded; p++) {
                for (int r = 0; r < branch; r++) {
                    level[named++] = parents[p] * choices[r];
                }
            }
            Arrays.sort(level, 0, named);
            expanded = branch;
            for (int p = 0; p < expanded; p++) {
                parents[p] = level[named - 1 - p];
            }
            merge(named);
            depth++;
        }

        /** Puts the level's nodes among the best candidates, as far as trees have room for them. */
        private void merge(int named) {
            int total = Math.min(count + named, best.length);
            int old = 0;
            int next = named - 1;
            for (int i = 0; i < total; i++) {
                merged[i] = next < 0 || old < count && best[old] >= level[next] ? best[old++] : level[next--];
            }
            double[] swap = best;
            best = merged;
            merged = swap;
            count = total;
        }

        double best(int tokens) {
            double sum = 1;
            for (int i = 0; i < Math.min(tokens, count); i++) {
                sum += best[i];
            }
            return sum;
        }
    }
}

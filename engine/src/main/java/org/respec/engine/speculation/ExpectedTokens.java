package org.respec.engine.speculation;

import java.util.Arrays;
import org.respec.kernels.TreeBatch;

/**
 * Tokens that a step of a plan is expected to gain: 1 for the bonus plus the chances of all verified nodes, a node's chance being the
 * product of its ranks' chances from the root down, over the best tree that the plan allows (as Sequoia builds its trees; Chen et
 * al., 2024). Real trees adapt to the drafter's scores and do better; the solver calibrates for that.
 */
public final class ExpectedTokens {
    private final double[] pool = new double[TreeBatch.POOL];
    private final double[] parents = new double[TreeBatch.MAX_BRANCH];
    private final double[] level = new double[TreeBatch.MAX_BRANCH * TreeBatch.MAX_BRANCH];
    private final double[][] chances = new double[TreeBatch.MAX_DEPTH + 1][TreeBatch.MAX_BRANCH];
    /** What the pool holds, in rising order: candidates of trees of this depth and branch. */
    private int pooled;
    private int pooledDepth;
    private int pooledBranch;

    /** Takes the chances that the next {@link #of} works with. */
    public ExpectedTokens refresh(Acceptance acceptance) {
        pooledDepth = 0;
        for (int depth = 1; depth <= TreeBatch.MAX_DEPTH; depth++) {
            for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
                chances[depth][rank] = acceptance.chance(depth, rank);
            }
        }
        return this;
    }

    /** Expected tokens per request and step, bonus included; quicker for one plan after another of the same depth and branch. */
    public double of(SpeculationPlan plan) {
        if (plan.isOff()) {
            return 1;
        }
        if (plan.depth() != pooledDepth || plan.branch() != pooledBranch) {
            pool(plan.depth(), plan.branch());
        }
        double sum = 1;
        for (int i = 0; i < Math.min(plan.tokens(), pooled); i++) {
            sum += pool[pooled - 1 - i];
        }
        return sum;
    }

    private void pool(int depths, int branch) {
        int count = 0;
        int expanded = 1;
        parents[0] = 1;
        for (int depth = 1; depth <= depths; depth++) {
            int named = 0;
            for (int p = 0; p < expanded; p++) {
                for (int r = 0; r < branch; r++) {
                    level[named] = parents[p] * chances[depth][r];
                    pool[count++] = level[named++];
                }
            }
            Arrays.sort(level, 0, named);
            expanded = branch;
            for (int p = 0; p < expanded; p++) {
                parents[p] = level[named - 1 - p];
            }
        }
        Arrays.sort(pool, 0, count);
        pooled = count;
        pooledDepth = depths;
        pooledBranch = branch;
    }
}

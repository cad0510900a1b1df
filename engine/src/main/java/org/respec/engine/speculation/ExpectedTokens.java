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

    /** Takes the chances that the next {@link #of} works with. */
    public ExpectedTokens refresh(Acceptance acceptance) {
        for (int depth = 1; depth <= TreeBatch.MAX_DEPTH; depth++) {
            for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
                chances[depth][rank] = acceptance.chance(depth, rank);
            }
        }
        return this;
    }

    /** Expected tokens per request and step, bonus included. */
    public double of(SpeculationPlan plan) {
        if (plan.isOff()) {
            return 1;
        }
        int count = 0;
        int expanded = 1;
        parents[0] = 1;
        for (int depth = 1; depth <= plan.depth(); depth++) {
            int named = 0;
            for (int p = 0; p < expanded; p++) {
                for (int r = 0; r < plan.branch(); r++) {
                    level[named] = parents[p] * chances[depth][r];
                    pool[count++] = level[named++];
                }
            }
            Arrays.sort(level, 0, named);
            expanded = plan.branch();
            for (int p = 0; p < expanded; p++) {
                parents[p] = level[named - 1 - p];
            }
        }
        Arrays.sort(pool, 0, count);
        double sum = 1;
        for (int i = 0; i < Math.min(plan.tokens(), count); i++) {
            sum += pool[count - 1 - i];
        }
        return sum;
    }
}

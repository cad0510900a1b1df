package org.respec.engine.rollout;

import java.util.Arrays;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TreeBatch;

/**
 * Grows draft trees on the host from what followed the same tokens before: in the request itself, in others to the same prompt, and in
 * all that this engine has drawn. It has no weights and costs next to nothing. Candidates are ranked as {@link Ops#draftExpand} ranks
 * them, by log-chance plus the actor's own noise: chances are of tokens as they were drawn, so temperature and filters are in them.
 */
final class NgramSpeculator implements Speculator {
    private static final int POOL = TreeBatch.POOL;
    /** Mean of the largest noise of tokens that share a mass, over that of their mass alone. */
    private static final double GUMBEL_MEAN = 0.5772156649;

    private final Ops ops;
    private final SamplingParams sampling;
    private final long seed;
    private final float sharpness;
    private final NgramPredictor predictor;
    private final HostView levelBiases;
    private final HostView poolTokens;
    private final HostView poolParents;
    private final HostView poolRanks;
    private final HostView poolDepths;
    private final HostView poolScores;
    private final HostView poolCounts;

    // By slot: which admission it was last seen with, how many of its tokens are counted, and its prompt's scope.
    private final long[] admissions;
    private final int[] learned;
    private final long[] scopes;
    /** By live request. */
    private final int[] counts;

    private final int[] recent = new int[NgramPredictor.LONGEST];
    private final int[] frontier = new int[TreeBatch.MAX_BRANCH];
    private final int[] bestTokens = new int[TreeBatch.MAX_BRANCH];
    private final double[] bestScores = new double[TreeBatch.MAX_BRANCH];
    private final boolean[] taken = new boolean[POOL];
    private final int[] words = new int[4];

    NgramSpeculator(Ops ops, TreeBatch trees, int maxBatch, SamplingParams sampling, long seed, float sharpness, long bytes) {
        this.ops = ops;
        this.sampling = sampling;
        this.seed = seed;
        this.sharpness = sharpness;
        predictor = new NgramPredictor(bytes);
        levelBiases = new HostView(trees.levelBiases());
        poolTokens = new HostView(trees.poolTokens());
        poolParents = new HostView(trees.poolParents());
        poolRanks = new HostView(trees.poolRanks());
        poolDepths = new HostView(trees.poolDepths());
        poolScores = new HostView(trees.poolScores());
        poolCounts = new HostView(trees.poolCounts());
        admissions = new long[maxBatch];
        Arrays.fill(admissions, -1);
        learned = new int[maxBatch];
        scopes = new long[maxBatch];
        counts = new int[maxBatch];
    }

    @Override
    public int missedRows(Slot[] live, int count) {
        int missed = 0;
        for (int r = 0; r < count; r++) {
            meet(live[r]);
            missed += live[r].length - learned[live[r].index];
        }
        return missed;
    }

    /** Makes a slot's new tenant known: one with a first token of its own, for its prompt is counted once a group. */
    private void meet(Slot slot) {
        int i = slot.index;
        if (admissions[i] != slot.admitted) {
            admissions[i] = slot.admitted;
            learned[i] = slot.sample == 0 ? 0 : slot.promptLength();
            scopes[i] = NgramPredictor.scope(slot.group.prompt.prompt());
        }
    }

    private void learn(Slot slot) {
        meet(slot);
        predictor.learn(slot.tokens, learned[slot.index], slot.length, scopes[slot.index]);
        learned[slot.index] = slot.length;
    }

    @Override
    public void draft(Slot[] live, int count, SpeculationPlan plan, HostView rootPositions) {
        for (int r = 0; r < count; r++) {
            learn(live[r]);
        }
        for (int r = 0; r < count; r++) {
            counts[r] = grow(r, live[r], plan);
            poolCounts.setInt(r, counts[r]);
        }
        poolCounts.push(ops, count);
        long cells = (long) (count - 1) * POOL + counts[count - 1];
        poolTokens.push(ops, cells);
        poolParents.push(ops, cells);
        poolDepths.push(ops, cells);
        // No kernel reads ranks.
        poolScores.push(ops, cells);
    }

    /** Fills a request's pool, level by level; returns its candidates, which may be fewer than the plan's, or none. */
    private int grow(int r, Slot slot, SpeculationPlan plan) {
        long base = (long) r * POOL;
        int count = 0;
        int expanded = 1;
        frontier[0] = -1;
        for (int depth = 1; depth <= plan.depth() && expanded > 0; depth++) {
            int first = count;
            for (int f = 0; f < expanded; f++) {
                count = expand(base, count, frontier[f], depth, slot, plan.branch());
            }
            expanded = advance(base, first, count, plan.branch());
        }
        return count;
    }

    /** Appends the best children of a candidate, or of the root (-1). */
    private int expand(long base, int count, int parent, int depth, Slot slot, int branch) {
        int known = 0;
        for (int up = parent; up >= 0 && known < recent.length; up = poolParents.getInt(base + up)) {
            recent[known++] = poolTokens.getInt(base + up);
        }
        for (int t = slot.length - 1; t >= 0 && known < recent.length; t--) {
            recent[known++] = slot.tokens[t];
        }
        int found = predictor.predict(recent, known, scopes[slot.index]);
        int named = rank(found, branch, slot, slot.length - 1 + depth);
        double bias = levelBiases.getFloat(base / POOL * TreeBatch.MAX_DEPTH + depth - 1);
        double above = parent < 0 ? 0 : poolScores.getFloat(base + parent);
        for (int k = 0; k < named; k++) {
            long at = base + count;
            poolTokens.setInt(at, bestTokens[k]);
            poolParents.setInt(at, parent);
            poolRanks.setInt(at, k);
            poolDepths.setInt(at, depth);
            poolScores.setFloat(at, (float) (above + Math.min(0, bestScores[k] + bias)));
            count++;
        }
        return count;
    }

    /**
     * Leaves the best of what was predicted for a position in {@code bestTokens}, ties to the smaller token, with the logs of their
     * estimated chances; returns how many.
     */
    private int rank(int found, int branch, Slot slot, int position) {
        boolean noisy = sampling.temperature() > 0;
        int named = 0;
        double max = sharpness * (Math.log(predictor.unseen()) + (noisy ? GUMBEL_MEAN : 0));
        double sum = 1;
        for (int i = 0; i < found; i++) {
            int token = predictor.token(i);
            double noise = noisy ? NoiseField.at(seed, slot.requestId, position, token, words) : 0;
            double score = sharpness * (Math.log(predictor.chance(i)) + noise);
            // Log-sum-exp in one pass.
            if (score > max) {
                sum = sum * Math.exp(max - score) + 1;
                max = score;
            } else {
                sum += Math.exp(score - max);
            }
            if (named == branch && !better(score, token, branch - 1)) {
                continue;
            }
            int at = Math.min(named, branch - 1);
            while (at > 0 && better(score, token, at - 1)) {
                bestScores[at] = bestScores[at - 1];
                bestTokens[at] = bestTokens[at - 1];
                at--;
            }
            bestScores[at] = score;
            bestTokens[at] = token;
            named = Math.min(branch, named + 1);
        }
        double norm = max + Math.log(sum);
        for (int k = 0; k < named; k++) {
            bestScores[k] = Math.min(0, bestScores[k] - norm);
        }
        return named;
    }

    private boolean better(double score, int token, int than) {
        return score > bestScores[than] || (score == bestScores[than] && token < bestTokens[than]);
    }

    /** Makes the best candidates from {@code first} on the frontier, ties to the earlier; returns how many. */
    private int advance(long base, int first, int count, int branch) {
        Arrays.fill(taken, first, count, false);
        int expanded = 0;
        while (expanded < branch && expanded < count - first) {
            int best = -1;
            for (int i = first; i < count; i++) {
                if (!taken[i] && (best < 0 || poolScores.getFloat(base + i) > poolScores.getFloat(base + best))) {
                    best = i;
                }
            }
            taken[best] = true;
            frontier[expanded++] = best;
        }
        return expanded;
    }

    @Override
    public int candidates(int r) {
        return counts[r];
    }

    @Override
    public void close(Slot slot) {
        learn(slot);
    }

    @Override
    public void closeGroup(GroupState group) {
        // What its responses taught is kept.
    }

    @Override
    public void close() {
        predictor.close();
    }
}

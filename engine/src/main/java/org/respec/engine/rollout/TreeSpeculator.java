package org.respec.engine.rollout;

import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterInference;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
import org.respec.kernels.Replay;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;

/**
 * Grows one draft tree per live request, all requests in one pass a level. Keeps the drafter's own cache, which follows the actor's
 * by one token: row t needs token t + 1.
 */
final class TreeSpeculator implements Speculator {
    /**
     * Requests up to which the pass that ends at the roots is recorded. Its rows are what the last step accepted: of few requests that is
     * one of few numbers, of many it is a new number nearly every time, which would cost more to record than one layer's launches and
     * would drive out the graphs of whole plans.
     */
    private static final int MOST_RECORDED = 8;

    private final Ops ops;
    private final TensorArena arena;
    private final DrafterInference inference;
    private final PagedKvCache cache;
    private final FeatureStore features;
    private final SamplingParams sampling;
    private final long seed;
    private final float sharpness;
    private final int maxRows;
    private final TreeBatch trees;
    private final Replay passes;
    private final Runnable extending = this::extendToRoots;
    private final Runnable growing = this::grow;
    private SpeculationPlan growingPlan;
    private int growingRequests;
    private HostView growingRoots;
    private final BatchView extend;
    /** The last row of each request of {@link #extend}. */
    private final BatchView roots;
    private final BatchView level;
    private final HostView storeRows;
    private final HostView lastRows;
    private final HostMirror extendInputs;

    private int candidates;
    private long counts;

    TreeSpeculator(Ops ops, Drafter drafter, RolloutLimits limits, TreeBatch trees, FeatureStore features, SamplingParams sampling,
                   long seed, float sharpness, int maxRows) {
        this.ops = ops;
        this.trees = trees;
        this.passes = ops.replay("drafting");
        this.features = features;
        this.sampling = sampling;
        this.seed = seed;
        this.sharpness = sharpness;
        this.maxRows = maxRows;
        int batch = limits.maxBatch();
        arena = ops.arena("draft trees");
        inference = new DrafterInference(ops, drafter, maxRows, Math.multiplyExact(batch, TreeBatch.MAX_BRANCH));
        KvLayout layout = limits.layout(drafter.dtype(), 1, drafter.shape(), limits.draftPages());
        cache = new PagedKvCache(ops, layout, 2 * batch, limits.perSequence(), "draft KV");
        MirrorBlock block = new MirrorBlock(arena, RowBatch.bytes(maxRows, batch) + MirrorBlock.bytes(DType.I32, 1, maxRows)
            + MirrorBlock.bytes(DType.I32, 1, batch) + RowBatch.bytes(batch, batch));
        extend = new BatchView(block, maxRows, batch);
        storeRows = new HostView(block.mirror(DType.I32, 1, maxRows));
        lastRows = new HostView(block.mirror(DType.I32, 1, batch));
        roots = new BatchView(block, batch, batch);
        extendInputs = block.range(extend.batch.tokens(), roots.batch.requestIds());
        level = new BatchView(arena, Math.multiplyExact(batch, TreeBatch.MAX_BRANCH), batch);
    }

    @Override
    public void closeGroup(GroupState group) {
        if (group.draftSequence != Slot.NO_SEQUENCE) {
            cache.close(group.draftSequence);
            group.draftSequence = Slot.NO_SEQUENCE;
        }
    }

    /** Requests, and their groups' prefixes, enter the drafter's cache with their first tree: while the plan is off they cost nothing. */
    private void open(Slot slot) {
        GroupState group = slot.group;
        if (group.draftSequence == Slot.NO_SEQUENCE) {
            group.draftSequence = cache.open();
            // The prefix's last row is left for each response, whose first tree grows from it.
            add(group.draftSequence, slot, Math.max(0, group.prefixLength() - 1));
        }
        slot.draftSequence = cache.fork(group.draftSequence);
    }

    @Override
    public void close(Slot slot) {
        if (slot.draftSequence != Slot.NO_SEQUENCE) {
            cache.close(slot.draftSequence);
            slot.draftSequence = Slot.NO_SEQUENCE;
        }
    }

    /** Rows over all live requests, the prefix of a group that is not in the cache counting once. */
    @Override
    public int missedRows(Slot[] live, int count) {
        counts++;
        int missed = 0;
        for (int i = 0; i < count; i++) {
            Slot slot = live[i];
            GroupState group = slot.group;
            int prefix = Math.max(0, group.prefixLength() - 1);
            if (slot.draftSequence != Slot.NO_SEQUENCE) {
                missed += slot.committed() - cache.length(slot.draftSequence);
                continue;
            }
            missed += slot.committed() - prefix;
            if (group.draftSequence == Slot.NO_SEQUENCE && group.counted != counts) {
                group.counted = counts;
                missed += prefix;
            }
        }
        return missed;
    }

    @Override
    public int candidates(int r) {
        return candidates;
    }

    @Override
    public void draft(Slot[] live, int count, SpeculationPlan plan, HostView rootPositions) {
        candidates = plan.candidates();
        for (int r = 0; r < count; r++) {
            if (live[r].draftSequence == Slot.NO_SEQUENCE) {
                open(live[r]);
            }
        }
        runExtend();
        catchUp(live, count);
        lastPass(live, count);
        int inFlight = (plan.depth() - 1) * plan.branch();
        level.clear();
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            require(cache.reserve(slot.draftSequence, inFlight));
            level.addRequest(cache.row(slot.draftSequence), cache.length(slot.draftSequence), slot.requestId);
        }
        cache.sync();
        level.uniformRows(plan.branch());
        level.pushRequests(ops);
        growingPlan = plan;
        growingRequests = count;
        growingRoots = rootPositions;
        passes.run(plan.depth(), level.batch, cache.store(), count, count * plan.branch(), growing);
        for (int r = 0; r < count; r++) {
            cache.rollback(live[r].draftSequence);
        }
    }

    /** All levels of all trees: a function of plan and requests, so that it is recorded once for each. */
    private void grow() {
        int branch = growingPlan.branch();
        int count = growingRequests;
        int rows = count * branch;
        ops.draftExpand(inference.logits(), 1, 1, branch, sharpness, sampling, seed, growingRoots.mirror(), trees, count, level.batch,
            cache.store());
        for (int depth = 2; depth <= growingPlan.depth(); depth++) {
            inference.step(trees.frontierParents().device(), level.batch, cache.store(), count, rows);
            ops.draftExpand(inference.logits(), branch, depth, branch, sharpness, sampling, seed, growingRoots.mirror(), trees, count,
                level.batch, cache.store());
        }
    }

    /** Extends all but each request's last decided row, in full passes; does nothing where a single pass takes all rows. */
    private void catchUp(Slot[] live, int count) {
        if (missedRows(live, count) <= maxRows) {
            return;
        }
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            add(slot.draftSequence, slot, Math.max(cache.length(slot.draftSequence), slot.committed() - 1));
        }
        runExtend();
    }

    private void lastPass(Slot[] live, int count) {
        int withFeatures = -1;
        for (int r = 0; r < count; r++) {
            add(live[r].draftSequence, live[r], live[r].committed());
            lastRows.setInt(r, extend.rows() - 1);
            withFeatures = live[r].committed() > 0 ? r : withFeatures;
        }
        roots.clear();
        for (int r = 0; r < count && withFeatures >= 0; r++) {
            // A prompt of one token has no features yet: its first tree grows from another request's row and is merely useless.
            int from = live[r].committed() > 0 ? r : withFeatures;
            Slot slot = live[from];
            lastRows.setInt(r, lastRows.getInt(from));
            roots.addRequest(cache.row(slot.draftSequence), slot.committed(), slot.requestId);
            roots.addRow(0, slot.committed() - 1, 0, slot.committed(), 0L);
        }
        pushExtend();
        if (count <= MOST_RECORDED) {
            passes.run(0, extend.batch, cache.store(), count, extend.rows(), extending);
        } else {
            extending.run();
        }
        extend.clear();
    }

    /** Takes in what was decided, up to each request's last token, whose row the tree grows from. */
    private void extendToRoots() {
        extend();
        if (roots.rows() > 0) {
            inference.roots(lastRows.mirror().device(), roots.batch, cache.store(), roots.requests());
        }
    }

    private void extend() {
        inference.extend(features.rows(), storeRows.mirror().device(), extend.batch, cache.store(), extend.rows());
    }

    /**
     * Adds a request's rows from the end of a sequence, which is its own or its group's, up to row {@code to}, and commits their places.
     * What does not fit one pass with the rows already there begins another.
     */
    private void add(int sequence, Slot slot, int to) {
        int from = cache.length(sequence);
        require(cache.reserve(sequence, to - from));
        cache.commit(sequence, to - from);
        extend.addRequest(cache.row(sequence), from, slot.requestId);
        for (int t = from; t < to; t++) {
            if (extend.rows() == maxRows) {
                runExtend();
                extend.addRequest(cache.row(sequence), t, slot.requestId);
            }
            storeRows.setInt(extend.rows(), features.row(slot, t));
            extend.addRow(slot.tokens[t + 1], t, cache.slot(sequence, t), t + 1, 0L);
        }
    }

    /** Computes what was added and not yet computed. */
    private void runExtend() {
        if (extend.rows() > 0) {
            pushExtend();
            extend();
        }
        extend.clear();
    }

    private void pushExtend() {
        cache.sync();
        ops.push(extendInputs, extendInputs.host().size());
    }

    private static void require(boolean reserved) {
        if (!reserved) {
            throw new IllegalStateException("the draft cache ran out of pages that were planned for");
        }
    }

    /** Gives the cache's memory back until {@link #acquire}. */
    void release() {
        passes.close();
        cache.release();
    }

    void acquire() {
        cache.acquire();
    }

    @Override
    public void close() {
        passes.close();
        cache.close();
        inference.close();
        arena.close();
    }
}

package org.respec.engine.rollout;

import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterInference;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;

/**
 * Grows one draft tree per live request, all requests in one pass a level. Keeps the drafter's own cache, which follows the actor's
 * by one token: row t needs token t + 1.
 */
final class TreeSpeculator implements AutoCloseable {
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
    private final BatchView extend;
    private final BatchView level;
    private final HostView storeRows;
    private final HostView lastRows;

    TreeSpeculator(Ops ops, Drafter drafter, RolloutLimits limits, FeatureStore features, SamplingParams sampling, long seed,
                   float sharpness, int maxRows) {
        this.ops = ops;
        this.features = features;
        this.sampling = sampling;
        this.seed = seed;
        this.sharpness = sharpness;
        this.maxRows = maxRows;
        int batch = limits.maxBatch();
        arena = ops.arena("draft trees");
        inference = new DrafterInference(ops, drafter, maxRows, Math.multiplyExact(batch, TreeBatch.MAX_BRANCH));
        int perSequence = limits.maxLength() + TreeBatch.MAX_NODES;
        // Every live request and every open group's prefix fit at full length: the drafter has one layer, so this is cheap and its
        // cache can never be what a step waits for.
        int pages = Math.multiplyExact(2 * batch, (perSequence + limits.pageSize() - 1) / limits.pageSize() + 1);
        KvLayout layout = new KvLayout(drafter.dtype(), 1, drafter.shape().kvHeads(), drafter.shape().headDim(), limits.pageSize(), pages);
        cache = new PagedKvCache(ops, layout, 2 * batch, perSequence, "draft KV");
        trees = TreeBatch.allocate(arena, batch);
        extend = new BatchView(arena, maxRows, batch);
        level = new BatchView(arena, Math.multiplyExact(batch, TreeBatch.MAX_BRANCH), batch);
        storeRows = new HostView(arena.mirror(DType.I32, 1, maxRows));
        lastRows = new HostView(arena.mirror(DType.I32, 1, batch));
    }

    TreeBatch trees() {
        return trees;
    }

    /** Extends a group's prefix; its last token is left for each response, whose first tree grows from that row. */
    private void openGroup(GroupState group) {
        group.draftSequence = cache.open();
        int rows = group.prefixLength() - 1;
        int done = 0;
        while (done < rows) {
            int part = Math.min(rows - done, maxRows);
            require(cache.reserve(group.draftSequence, part));
            cache.sync();
            extend.clear();
            extend.addRequest(cache.row(group.draftSequence), done, 0);
            for (int i = 0; i < part; i++) {
                int t = done + i;
                storeRows.setInt(i, features.row(group, t));
                extend.addRow(group.prompt.prompt()[t + 1], t, cache.slot(group.draftSequence, t), t + 1, 0L);
            }
            runExtend();
            cache.commit(group.draftSequence, part);
            done += part;
        }
    }

    void closeGroup(GroupState group) {
        if (group.draftSequence != Slot.NO_SEQUENCE) {
            cache.close(group.draftSequence);
            group.draftSequence = Slot.NO_SEQUENCE;
        }
    }

    /** Requests, and their groups' prefixes, enter the drafter's cache with their first tree: while the plan is off they cost nothing. */
    private void open(Slot slot) {
        if (slot.group.draftSequence == Slot.NO_SEQUENCE) {
            openGroup(slot.group);
        }
        slot.draftSequence = cache.fork(slot.group.draftSequence);
    }

    void close(Slot slot) {
        if (slot.draftSequence != Slot.NO_SEQUENCE) {
            cache.close(slot.draftSequence);
            slot.draftSequence = Slot.NO_SEQUENCE;
        }
    }

    /** Tokens of a request that the drafter's cache holds, or that it will get with its group's prefix. */
    private int extended(Slot slot) {
        if (slot.draftSequence != Slot.NO_SEQUENCE) {
            return cache.length(slot.draftSequence);
        }
        return slot.group.draftSequence == Slot.NO_SEQUENCE ? 0 : cache.length(slot.group.draftSequence);
    }

    /** Decided tokens that the drafter has not seen, over all live requests: what turning on costs first. */
    int missedRows(Slot[] live, int count) {
        int missed = 0;
        for (int i = 0; i < count; i++) {
            missed += live[i].committed() - extended(live[i]);
        }
        return missed;
    }

    /** Grows the pools of the trees of {@code live} to the plan's depth. */
    void draft(Slot[] live, int count, SpeculationPlan plan, HostView rootPositions) {
        for (int r = 0; r < count; r++) {
            if (live[r].draftSequence == Slot.NO_SEQUENCE) {
                open(live[r]);
            }
        }
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
        ops.draftExpand(inference.logits(), 1, 1, plan.branch(), sharpness, sampling, seed, rootPositions.mirror(), trees, count,
            level.batch, cache.store());
        int rows = count * plan.branch();
        for (int depth = 2; depth <= plan.depth(); depth++) {
            inference.step(trees.frontierParents().device(), level.batch, cache.store(), count, rows);
            inference.heads(null, rows);
            ops.draftExpand(inference.logits(), plan.branch(), depth, plan.branch(), sharpness, sampling, seed,
                rootPositions.mirror(), trees, count, level.batch, cache.store());
        }
        for (int r = 0; r < count; r++) {
            cache.rollback(live[r].draftSequence);
        }
    }

    /** Extends all but each request's last decided row, in full passes; does nothing where a single pass takes all rows. */
    private void catchUp(Slot[] live, int count) {
        if (missedRows(live, count) <= maxRows) {
            return;
        }
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            int from = cache.length(slot.draftSequence);
            while (from < slot.committed() - 1) {
                int part = Math.min(slot.committed() - 1 - from, maxRows);
                require(cache.reserve(slot.draftSequence, part));
                cache.sync();
                extend.clear();
                addRows(slot, from, from + part);
                runExtend();
                cache.commit(slot.draftSequence, part);
                from += part;
            }
        }
    }

    private void lastPass(Slot[] live, int count) {
        extend.clear();
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            require(cache.reserve(slot.draftSequence, slot.committed() - cache.length(slot.draftSequence)));
        }
        cache.sync();
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            addRows(slot, cache.length(slot.draftSequence), slot.committed());
            // A prompt of one token has no features yet: its first tree grows from an arbitrary row and is merely useless.
            lastRows.setInt(r, Math.max(0, extend.rows() - 1));
        }
        runExtend();
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            cache.commit(slot.draftSequence, slot.committed() - cache.length(slot.draftSequence));
        }
        lastRows.push(ops, count);
        inference.heads(lastRows.mirror().device(), count);
    }

    private void addRows(Slot slot, int from, int to) {
        extend.addRequest(cache.row(slot.draftSequence), from, slot.requestId);
        for (int t = from; t < to; t++) {
            storeRows.setInt(extend.rows(), features.row(slot, t));
            extend.addRow(slot.tokens[t + 1], t, cache.slot(slot.draftSequence, t), t + 1, 0L);
        }
    }

    private void runExtend() {
        extend.push(ops);
        storeRows.push(ops, extend.rows());
        inference.extend(features.rows(), storeRows.mirror().device(), extend.batch, cache.store(), extend.requests(), extend.rows());
    }

    private static void require(boolean reserved) {
        if (!reserved) {
            throw new IllegalStateException("the draft cache ran out of pages that were planned for");
        }
    }

    @Override
    public void close() {
        cache.close();
        inference.close();
        arena.close();
    }
}

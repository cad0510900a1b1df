package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorInference;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ModelConfig;
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
import org.respec.kernels.VerifyResult;

/**
 * Draws responses with continuous batching over a paged cache. One step: draft trees (unless the plan is off), verify all nodes in
 * one forward pass, sample every node, walk the accepted path, move its keys and values into place, commit. The tokens drawn depend
 * on weights, prompts, sampling and seed alone: not on plan, batch or drafter (see {@link Ops#sample}).
 */
public final class RolloutEngine implements AutoCloseable {
    private final Ops ops;
    private final RolloutLimits limits;
    private final SamplingParams sampling;
    private final long seed;
    private final StopRule stop;
    private final PlanPolicy policy;
    private final TensorArena arena;
    private final ActorInference inference;
    private final PagedKvCache cache;
    private final FeatureStore features;
    private final Drafting drafting;
    private final TreeSpeculator eagle;
    private NgramSpeculator ngram;
    private Speculator speculator;
    private Drafting.Kind kind = Drafting.Kind.NONE;
    private volatile Drafting.Kind wantedKind;
    private final TeacherStore teachers;
    private final CaptureReader captures;
    private final int maxRows;

    private final Slot[] live;
    private final Slot[] idle;
    private final ArrayList<Slot> preempted = new ArrayList<>();
    private int liveCount;
    private int idleCount;

    private final BatchView verify;
    private final TreeBatch trees;
    private final HostView rootTokens;
    private final HostView rootPositions;
    private final HostView budgets;
    private final HostView poolCounts;
    private final HostView poolTokens;
    private final HostView poolParents;
    private final HostView nodePool;
    private final VerifyResult result;
    private final HostView pathLengths;
    private final HostView pathNodes;
    private final HostView sampled;
    private final HostView sampledLogProbs;
    private final HostView moveFrom;
    private final HostView moveTo;
    private final HostView captureRows;
    private final HostView captureTargets;
    private final int[] kept;
    /** Root tokens and positions: what a draft begins with. */
    private final HostMirror roots;
    /** What the host reads after a step without trees, and after one with trees. */
    private final HostMirror plainResult;
    private final HostMirror treeResult;
    private final HostMirror moves;
    private final HostMirror captured;
    private final Replay passes;
    private final Runnable plainPass = this::samplePass;
    private final Runnable treePass = this::treePass;
    private int passRows;

    /** Most nodes of one request that this step's pages are reserved for, the root not counted. */
    private int nodesEach;
    /** The same if they are shared out by the scores of this step's candidates; 0 if the host knows how many each request has. */
    private int sharedEach;

    private List<GroupState> groups = List.of();
    /** In the order of admission. */
    private List<GroupState> queue = List.of();
    private final ResponseLengths lengths;
    private Trajectory[] finished;
    private int nextGroup;
    private long admissions;
    private long tokensDrawn;
    private long steps;
    private long speculativeTokens;
    private long speculativeRequestSteps;
    private long preemptions;
    private long draftNanos;
    private long verifyNanos;
    private final StepTally tally = new StepTally();

    /**
     * An engine for an actor and, unless {@code drafter} is null, a drafter.
     *
     * @param speculate false if the drafter is only to be taught: features are captured, but no trees are grown
     * @param sharpness see {@link Ops#draftExpand}
     * @throws BadInput if the cache cannot hold one request of full length, or the model's positions do not reach that far
     */
    public RolloutEngine(Ops ops, Actor actor, Drafter drafter, RolloutLimits limits, SamplingParams sampling, long seed, StopRule stop,
                         PlanPolicy policy, boolean speculate, float sharpness) {
        this(ops, actor, drafter, limits, sampling, seed, stop, policy,
            Drafting.of(speculate && drafter != null ? Drafting.Kind.EAGLE : Drafting.Kind.NONE, sharpness));
    }

    /**
     * An engine for an actor.
     *
     * @param drafter null for none; a drafter is taught (features are captured) even if another kind drafts
     * @throws BadInput if the cache cannot hold one request of full length, the model's positions do not reach that far, or the drafter
     *     that is to draft is missing
     */
    public RolloutEngine(Ops ops, Actor actor, Drafter drafter, RolloutLimits limits, SamplingParams sampling, long seed, StopRule stop,
                         PlanPolicy policy, Drafting drafting) {
        this.drafting = drafting;
        this.ops = ops;
        this.limits = limits;
        this.sampling = sampling;
        this.seed = seed;
        this.stop = stop;
        this.policy = policy;
        int batch = limits.maxBatch();
        if (limits.maxTokens() > mostTokens(actor.config(), limits.maxPrompt())) {
            throw new BadInput("rollout.max_tokens: a prompt of " + limits.maxPrompt() + " tokens, a response of " + limits.maxTokens()
                + " and a draft of " + TreeBatch.MAX_DEPTH + " need " + (limits.maxLength() + TreeBatch.MAX_DEPTH)
                + " positions, but the model has max_position_embeddings " + actor.config().maxPositionEmbeddings()
                + "; lower rollout.max_tokens.");
        }
        int pages = limits.pages();
        if (pages < limits.leastPages()) {
            throw new BadInput("rollout.kv_pages: " + pages + " pages of " + limits.pageSize() + " tokens cannot hold one request of "
                + limits.maxLength() + " tokens with its draft tree; give at least " + limits.leastPages() + ".");
        }
        boolean captures = drafter != null;
        this.maxRows = limits.maxRows();
        this.arena = ops.arena("rollout");
        int[] featureLayers = captures ? drafter.config().featureLayers() : new int[0];
        this.inference = new ActorInference(ops, actor, maxRows, featureLayers);
        KvLayout layout = new KvLayout(actor.dtype(), actor.config().numHiddenLayers(), actor.shape().kvHeads(), actor.shape().headDim(),
            limits.pageSize(), pages);
        this.cache = new PagedKvCache(ops, layout, 2 * batch, limits.perSequence(), "actor KV");
        this.features = captures
            ? new FeatureStore(arena, actor.dtype(), batch, limits.maxLength(), featureLayers.length * actor.config().hiddenSize()) : null;
        MirrorBlock block = new MirrorBlock(arena, RowBatch.bytes(maxRows, batch) + 2 * MirrorBlock.bytes(DType.I32, 1, batch)
            + TreeBatch.readBytes(batch) + VerifyResult.bytes(batch) + 2 * MirrorBlock.bytes(DType.I32, 1, maxRows));
        this.verify = new BatchView(block, maxRows, batch);
        this.rootTokens = new HostView(block.mirror(DType.I32, 1, batch));
        this.rootPositions = new HostView(block.mirror(DType.I32, 1, batch));
        this.trees = TreeBatch.allocate(arena, block, batch);
        this.result = VerifyResult.allocate(block, batch);
        this.sampled = new HostView(block.mirror(DType.I32, 1, maxRows));
        this.sampledLogProbs = new HostView(block.mirror(DType.F32, 1, maxRows));
        this.roots = block.range(rootTokens.mirror(), rootPositions.mirror());
        this.plainResult = block.range(sampled.mirror(), sampledLogProbs.mirror());
        this.treeResult = block.range(verify.batch.firstRows(), sampledLogProbs.mirror());
        this.eagle = drafter == null || drafting.kind() != Drafting.Kind.EAGLE ? null
            : new TreeSpeculator(ops, drafter, limits, trees, features, sampling, seed, drafting.sharpness(), maxRows);
        this.teachers = captures && limits.captureTopK() > 0 ? new TeacherStore(ops, arena, limits, maxRows) : null;
        this.captures = teachers == null ? null : new CaptureReader(ops, arena, features, teachers, limits.maxLength());
        this.live = new Slot[batch];
        this.idle = new Slot[batch];
        for (int i = batch - 1; i >= 0; i--) {
            idle[idleCount++] = new Slot(i, limits.maxLength());
        }
        this.budgets = new HostView(trees.budgets());
        this.poolCounts = new HostView(trees.poolCounts());
        this.poolTokens = new HostView(trees.poolTokens());
        this.poolParents = new HostView(trees.poolParents());
        this.nodePool = new HostView(trees.nodePool());
        this.pathLengths = new HostView(result.pathLengths());
        this.pathNodes = new HostView(result.pathNodes());
        MirrorBlock decided = new MirrorBlock(arena, 4 * MirrorBlock.bytes(DType.I32, 1, maxRows));
        this.moveFrom = new HostView(decided.mirror(DType.I32, 1, maxRows));
        this.moveTo = new HostView(decided.mirror(DType.I32, 1, maxRows));
        this.captureRows = new HostView(decided.mirror(DType.I32, 1, maxRows));
        this.captureTargets = new HostView(decided.mirror(DType.I32, 1, maxRows));
        this.moves = decided.range(moveFrom.mirror(), moveTo.mirror());
        this.captured = decided.range(captureRows.mirror(), captureTargets.mirror());
        this.passes = ops.replay("rollout");
        this.kept = new int[batch];
        this.lengths = new ResponseLengths(limits.maxPrompt(), limits.maxTokens());
        draftWith(drafting.kind());
        applyKind();
    }

    /**
     * Has another kind of drafter draft from the next step on; any thread may call it, at any time. What is drawn stays the same.
     *
     * @throws BadInput if the engine was made without that drafter
     */
    public void draftWith(Drafting.Kind next) {
        if (next == Drafting.Kind.EAGLE && eagle == null) {
            throw new BadInput("model.drafter: to draft with a trained drafter the engine needs one; name its folder.");
        }
        wantedKind = next;
    }

    /** Who drafts from the next step on. */
    public Drafting.Kind draftsWith() {
        return wantedKind;
    }

    private void applyKind() {
        Drafting.Kind next = wantedKind;
        if (next == kind) {
            return;
        }
        if (speculator != null) {
            for (int r = 0; r < liveCount; r++) {
                speculator.close(live[r]);
            }
            for (int g = 0; g < groups.size(); g++) {
                speculator.closeGroup(groups.get(g));
            }
        }
        if (next == Drafting.Kind.NGRAM && ngram == null) {
            ngram = new NgramSpeculator(ops, trees, limits.maxBatch(), sampling, seed, drafting.sharpness(), drafting.ngramBytes());
        }
        speculator = switch (next) {
            case NONE -> null;
            case EAGLE -> eagle;
            case NGRAM -> ngram;
        };
        kind = next;
    }

    /** The longest response to a prompt of this many tokens that a model has positions for, a draft at its end included. */
    public static int mostTokens(ModelConfig model, int prompt) {
        return model.maxPositionEmbeddings() - prompt - TreeBatch.MAX_DEPTH;
    }

    /** Who decides how far to speculate. */
    public PlanPolicy policy() {
        return policy;
    }

    /** Draws all responses of {@code prompts}; trajectories come in request order. */
    public Rollout generate(List<PromptGroup> prompts) {
        long start = System.nanoTime();
        begin(prompts);
        while (step()) {
            // Everything happens in step.
        }
        return end((System.nanoTime() - start) * 1e-9);
    }

    /** Gives the memory of cached keys and values back until the next {@link #generate}. */
    public void release() {
        passes.close();
        cache.release();
        if (eagle != null) {
            eagle.release();
        }
    }

    /** Queues prompts and clears the counters; {@link #step} then does the work. */
    void begin(List<PromptGroup> prompts) {
        cache.acquire();
        if (eagle != null) {
            eagle.acquire();
        }
        List<GroupState> states = new ArrayList<>();
        int requests = 0;
        for (PromptGroup prompt : prompts) {
            if (prompt.prompt().length > limits.maxPrompt()) {
                throw new BadInput("a prompt of " + prompt.prompt().length + " tokens is longer than the " + limits.maxPrompt()
                    + " this engine was built for; shorten it.");
            }
            states.add(new GroupState(states.size(), prompt));
            requests += prompt.samples();
        }
        groups = states;
        queue = longestFirst(states);
        finished = new Trajectory[requests];
        nextGroup = 0;
        tokensDrawn = 0;
        steps = 0;
        speculativeTokens = 0;
        speculativeRequestSteps = 0;
        preemptions = 0;
        draftNanos = 0;
        verifyNanos = 0;
        tally.clear();
    }

    /**
     * Groups in the order of admission: those whose responses are expected to be longest first, so that no long one begins when all others
     * end; else as they came. Noise belongs to requests and positions, so the order changes nothing that is drawn.
     */
    private List<GroupState> longestFirst(List<GroupState> states) {
        for (GroupState group : states) {
            group.lengthScale = lengths.scale(group.prompt.prompt());
        }
        return states.stream().sorted(Comparator.comparingDouble(group -> -group.lengthScale)).toList();
    }

    /** What was drawn since {@link #begin}, which took {@code seconds}. */
    Rollout end(double seconds) {
        List<StepGroup> stepGroups = tally.groups();
        RolloutStats stats = new RolloutStats(tokensDrawn, seconds, steps, speculativeTokens, speculativeRequestSteps, preemptions,
            StepTally.plans(stepGroups), draftNanos * 1e-9, verifyNanos * 1e-9, stepGroups);
        List<Trajectory> trajectories = List.of(finished);
        for (Trajectory trajectory : trajectories) {
            lengths.observe(trajectory.prompt(), trajectory.response().length);
        }
        finished = null;
        groups = List.of();
        queue = List.of();
        return new Rollout(trajectories, stats);
    }

    /** Admits what fits and runs one step over all live requests; false when nothing is left to do. */
    boolean step() {
        admit();
        if (liveCount == 0) {
            return false;
        }
        applyKind();
        long start = System.nanoTime();
        SpeculationPlan plan = reserve();
        for (int r = 0; r < liveCount; r++) {
            Slot slot = live[r];
            rootTokens.setInt(r, slot.tokens[slot.length - 1]);
            rootPositions.setInt(r, slot.committed());
        }
        int rows = liveCount;
        if (!plan.isOff()) {
            ops.push(roots, roots.host().size());
            speculator.draft(live, liveCount, plan, rootPositions);
            rows += shareNodes(plan);
        }
        long drafted = System.nanoTime();
        verifyPass(rows);
        int gained = accept(rows, rows > liveCount);
        long verified = System.nanoTime();
        count(plan, gained, drafted - start, verified - drafted);
        policy.observeStep(plan, liveCount, rows, gained, drafted - start, verified - drafted);
        retire();
        return true;
    }

    // ------------------------------------------------------------------------------------------------------ admission

    private void admit() {
        while (idleCount > 0 || !preempted.isEmpty()) {
            if (!preempted.isEmpty()) {
                // Oldest first: it keeps its slot and tokens, and only its keys and values are computed again.
                if (!resume(preempted.getFirst())) {
                    return;
                }
                preempted.removeFirst();
                continue;
            }
            if (nextGroup == queue.size() || !start(queue.get(nextGroup))) {
                return;
            }
        }
    }

    private boolean start(GroupState group) {
        int prefix = group.prefixLength();
        int shared = group.kvSequence == Slot.NO_SEQUENCE ? cache.pagesFor(prefix) : 0;
        if (!room(shared, prefix)) {
            return false;
        }
        if (group.kvSequence == Slot.NO_SEQUENCE) {
            openGroup(group);
        }
        Slot slot = idle[--idleCount];
        slot.start(group, group.admitted++, admissions++);
        slot.kvSequence = cache.fork(group.kvSequence);
        live[liveCount++] = slot;
        if (group.admitted == group.prompt.samples()) {
            nextGroup++;
        }
        return true;
    }

    private boolean resume(Slot slot) {
        int prefix = slot.group.prefixLength();
        int own = cache.pagesFor(slot.committed()) - prefix / limits.pageSize();
        if (!room(own, slot.committed())) {
            return false;
        }
        slot.kvSequence = cache.fork(slot.group.kvSequence);
        prefill(slot.kvSequence, slot.tokens, prefix, slot.committed(), null);
        live[liveCount++] = slot;
        return true;
    }

    /** Whether, after taking {@code pages}, every live request and a newcomer of {@code length} tokens can still take a decode step. */
    private boolean room(int pages, int length) {
        int step = length % limits.pageSize() == 0 ? 1 : 2;
        return cache.freePages() >= pages + step + (liveCount == 0 ? 0 : 2 * liveCount);
    }

    private void openGroup(GroupState group) {
        group.kvSequence = cache.open();
        if (features != null) {
            features.openGroup(group);
        }
        prefill(group.kvSequence, group.prompt.prompt(), 0, group.prefixLength(), group);
    }

    private void closeGroup(GroupState group) {
        cache.close(group.kvSequence);
        group.kvSequence = Slot.NO_SEQUENCE;
        if (features != null) {
            features.closeGroup(group);
        }
        if (speculator != null) {
            speculator.closeGroup(group);
        }
    }

    /** Computes keys and values of {@code tokens[from..to)}; features go to {@code group}'s place unless it is null. */
    private void prefill(int sequence, int[] tokens, int from, int to, GroupState group) {
        for (int at = from; at < to; ) {
            int part = Math.min(to - at, maxRows);
            if (!cache.reserve(sequence, part)) {
                throw new IllegalStateException("admission let in a request whose prefill does not fit");
            }
            cache.sync();
            verify.clear();
            verify.addRequest(cache.row(sequence), at, 0);
            for (int i = 0; i < part; i++) {
                int position = at + i;
                verify.addRow(tokens[position], position, cache.slot(sequence, position), position + 1, 0L);
                if (group != null && features != null) {
                    captureTargets.setInt(i, features.row(group, position));
                }
            }
            verify.push(ops);
            boolean capture = group != null && features != null;
            inference.forward(verify.batch, cache.store(), 1, part, false, capture);
            if (capture) {
                captureTargets.push(ops, part);
                ops.copyRows(inference.features(), null, features.rows(), captureTargets.mirror().device(), part);
            }
            cache.commit(sequence, part);
            at += part;
        }
    }

    // ----------------------------------------------------------------------------------------------------------- step

    /** Chooses the plan and reserves its pages; falls back to off, then to preempting the youngest, when pages run out. */
    private SpeculationPlan reserve() {
        SpeculationPlan plan = SpeculationPlan.OFF;
        if (speculator != null) {
            plan = policy.choose(liveCount, speculator.missedRows(live, liveCount));
            if (!plan.isOff() && (long) liveCount * (plan.tokens() + 1) > maxRows) {
                plan = SpeculationPlan.OFF;
            }
            if (!plan.isOff()) {
                nodesEach = drafting.shared() && liveCount > 1 ? Math.min(TreeBatch.MAX_NODES - 1, plan.candidates()) : plan.tokens();
                if (!reserveAll(nodesEach + 1)) {
                    // Short of pages for trees of any size, requests have the same number of nodes each.
                    nodesEach = plan.tokens();
                    plan = reserveAll(nodesEach + 1) ? plan : SpeculationPlan.OFF;
                }
            }
        }
        if (plan.isOff()) {
            while (!reserveAll(1)) {
                preemptYoungest();
            }
        }
        cache.sync();
        return plan;
    }

    /** Sets how many candidates of each request are verified; returns how many all together. */
    private int shareNodes(SpeculationPlan plan) {
        boolean shared = nodesEach > plan.tokens();
        int there = 0;
        for (int r = 0; r < liveCount; r++) {
            int budget = Math.min(nodesEach, speculator.candidates(r));
            budgets.setInt(r, budget);
            there += budget;
        }
        int total = Math.min(there, liveCount * plan.tokens());
        sharedEach = shared && total < there ? nodesEach : 0;
        if (sharedEach == 0) {
            budgets.push(ops, liveCount);
        }
        return total;
    }

    private boolean reserveAll(int tokens) {
        for (int r = 0; r < liveCount; r++) {
            if (!cache.reserve(live[r].kvSequence, tokens)) {
                for (int undo = 0; undo < r; undo++) {
                    cache.rollback(live[undo].kvSequence);
                }
                return false;
            }
        }
        return true;
    }

    private void preemptYoungest() {
        if (liveCount == 1) {
            throw new IllegalStateException("one request alone does not fit the cache it was admitted to");
        }
        int youngest = 0;
        for (int r = 1; r < liveCount; r++) {
            if (live[r].admitted > live[youngest].admitted) {
                youngest = r;
            }
        }
        Slot slot = live[youngest];
        removeLive(youngest);
        release(slot);
        int at = 0;
        while (at < preempted.size() && preempted.get(at).admitted < slot.admitted) {
            at++;
        }
        preempted.add(at, slot);
        preemptions++;
    }

    private void release(Slot slot) {
        cache.close(slot.kvSequence);
        slot.kvSequence = Slot.NO_SEQUENCE;
        if (speculator != null) {
            speculator.close(slot);
        }
    }

    private void removeLive(int index) {
        // Order is kept: a request's place in the batch then changes only when an older one leaves.
        System.arraycopy(live, index + 1, live, index, liveCount - index - 1);
        live[--liveCount] = null;
    }

    /** One forward pass of {@code rows}: the roots and, if there are more, the nodes that {@link #shareNodes} shared out. */
    private void verifyPass(int rows) {
        verify.clear();
        boolean grown = rows > liveCount;
        if (!grown) {
            for (int r = 0; r < liveCount; r++) {
                Slot slot = live[r];
                int place = slot.committed();
                verify.addRequest(cache.row(slot.kvSequence), place, slot.requestId);
                verify.addRow(slot.tokens[place], place, cache.slot(slot.kvSequence, place), place, 1L);
            }
            verify.push(ops);
        } else {
            for (int r = 0; r < liveCount; r++) {
                verify.addRequest(cache.row(live[r].kvSequence), live[r].committed(), live[r].requestId);
            }
            verify.pushRequests(ops);
            verify.rowsToFill(rows);
        }
        passRows = rows;
        passes.run(!grown ? 0 : 1 + sharedEach, verify.batch, cache.store(), liveCount, rows, grown ? treePass : plainPass);
        HostMirror wanted = grown ? treeResult : plainResult;
        ops.pull(wanted, wanted.host().size());
    }

    private void samplePass() {
        inference.forward(verify.batch, cache.store(), liveCount, passRows, true, features != null);
        ops.sample(inference.logits(), verify.batch, sampling, seed, sampled.mirror().device(), sampledLogProbs.mirror().device(), passRows);
    }

    private void treePass() {
        if (sharedEach > 0) {
            ops.draftBudgets(trees, liveCount, passRows - liveCount, sharedEach);
        }
        ops.draftSelect(rootTokens.mirror(), rootPositions.mirror(), trees, liveCount, verify.batch, cache.store());
        samplePass();
        ops.verifyTrees(verify.batch, sampled.mirror().device(), trees, liveCount, result);
    }

    /** Appends accepted tokens, moves their keys and values into place, keeps by-products, commits; returns the tokens gained. */
    private int accept(int rows, boolean speculated) {
        int gained = 0;
        int moved = 0;
        int rowsKept = 0;
        for (int r = 0; r < liveCount; r++) {
            Slot slot = live[r];
            int place = slot.committed();
            int firstRow = speculated ? verify.firstRows.getInt(r) : r;
            int path = speculated ? pathLengths.getInt(r) : 1;
            int taken = 0;
            while (taken < path && !slot.done) {
                int node = taken == 0 ? 0 : pathNodes.getInt((long) r * TreeBatch.MAX_NODES + taken);
                int row = firstRow + node;
                int token = sampled.getInt(row);
                if (speculated) {
                    observeRank(r, node, taken + 1, token);
                }
                if (node != taken) {
                    moveFrom.setInt(moved, cache.slot(slot.kvSequence, place + node));
                    moveTo.setInt(moved, cache.slot(slot.kvSequence, place + taken));
                    moved++;
                }
                if (features != null) {
                    captureRows.setInt(rowsKept, row);
                    captureTargets.setInt(rowsKept, features.row(slot, place + taken));
                    rowsKept++;
                }
                slot.tokens[slot.length] = token;
                slot.logProbs[slot.length] = sampledLogProbs.getFloat(row);
                slot.length++;
                taken++;
                slot.ended = stop.ends(slot.tokens, slot.promptLength(), slot.length);
                slot.done = slot.ended || slot.length - slot.promptLength() == limits.maxTokens();
            }
            kept[r] = taken;
            gained += taken;
            if (speculated) {
                slot.speculativeSteps++;
                slot.speculativeTokens += taken;
            }
        }
        if (moved > 0) {
            ops.push(moves, moves.host().size());
            ops.kvMove(cache.store(), moveFrom.mirror(), moveTo.mirror(), moved);
        }
        if (rowsKept > 0) {
            ops.push(captured, captured.host().size());
            ops.copyRows(inference.features(), captureRows.mirror().device(), features.rows(), captureTargets.mirror().device(), rowsKept);
            if (teachers != null) {
                teachers.capture(inference.logits(), sampling.temperature(), captureRows, captureTargets, rowsKept);
            }
        }
        for (int r = 0; r < liveCount; r++) {
            cache.commit(live[r].kvSequence, kept[r]);
        }
        return gained;
    }

    private void observeRank(int request, int node, int depth, int token) {
        long base = (long) request * TreeBatch.POOL;
        int parent = node == 0 ? -1 : nodePool.getInt((long) request * TreeBatch.MAX_NODES + node);
        int count = poolCounts.getInt(request);
        int named = 0;
        int rank = -1;
        for (int i = Math.max(0, parent + 1); i < count; i++) {
            if (poolParents.getInt(base + i) == parent) {
                if (poolTokens.getInt(base + i) == token) {
                    rank = named;
                }
                named++;
            }
        }
        if (named > 0) {
            policy.observeRank(depth, rank, named);
        }
    }

    private void count(SpeculationPlan plan, int gained, long draft, long verified) {
        steps++;
        tokensDrawn += gained;
        draftNanos += draft;
        verifyNanos += verified;
        if (!plan.isOff()) {
            speculativeTokens += gained;
            speculativeRequestSteps += liveCount;
        }
        tally.add(plan, liveCount, gained, draft + verified);
    }

    private void retire() {
        int r = 0;
        while (r < liveCount) {
            Slot slot = live[r];
            if (!slot.done) {
                r++;
                continue;
            }
            finish(slot);
            removeLive(r);
            release(slot);
            GroupState group = slot.group;
            if (++group.finished == group.prompt.samples()) {
                closeGroup(group);
            }
            slot.group = null;
            idle[idleCount++] = slot;
        }
    }

    private void finish(Slot slot) {
        GroupState group = slot.group;
        int prompt = slot.promptLength();
        int[] response = java.util.Arrays.copyOfRange(slot.tokens, prompt, slot.length);
        float[] logProbs = java.util.Arrays.copyOfRange(slot.logProbs, prompt, slot.length);
        CapturedRows captured = captures == null ? null : captures.read(slot);
        int place = 0;
        for (int g = 0; g < group.index; g++) {
            place += groups.get(g).prompt.samples();
        }
        finished[place + slot.sample] = new Trajectory(group.index, slot.sample, slot.requestId, group.prompt.prompt(), response, logProbs,
            slot.ended, captured, slot.speculativeSteps, slot.speculativeTokens);
    }

    @Override
    public void close() {
        policy.close();
        passes.close();
        if (eagle != null) {
            eagle.close();
        }
        if (ngram != null) {
            ngram.close();
        }
        if (captures != null) {
            captures.close();
        }
        cache.close();
        inference.close();
        arena.close();
    }
}

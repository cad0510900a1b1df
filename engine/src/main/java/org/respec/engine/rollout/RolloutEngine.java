package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.ScoreCalibration;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.KvLayout;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.StageClock;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;

/**
 * Draws responses with continuous batching over a paged cache. One step: draft trees (unless the plan is off), verify all nodes in
 * one forward pass, sample every node, walk the accepted path, move its keys and values into place, commit. The tokens drawn depend
 * on weights, prompts, sampling and seed alone: not on plan, batch or drafter (see {@link Ops#sample}).
 */
public final class RolloutEngine implements AutoCloseable {
    private static final int NO_TOKEN = -1;

    private final RolloutLimits limits;
    private final SamplingParams sampling;
    private final StopRule stop;
    private final PlanPolicy policy;
    /** Null unless what is accepted is set. */
    private ImposedAcceptance imposed;
    private final boolean shareNodes;
    private final TensorArena arena;
    private final PagedKvCache cache;
    private final VerifyPass pass;
    private final KeptRows keptRows;
    private final Prefill prefill;
    private final KvMoves moves;
    private final Speculators speculators;
    private final StageClock draftClock;
    private final LiveSlots slots;
    /** Tokens that the step at hand gained, by live request. */
    private final int[] taken;
    private final StepTally tally = new StepTally();
    private final ResponseLengths lengths;
    /** Tokens that requests which were not admitted yet are expected to draw; NaN before anything is known. */
    private double waitingTokens;
    /** The same of all requests, as of the step at hand. */
    private double remainingTokens;
    private final LiveBatch batch;
    private final ScoreCalibration calibration;

    /** What choosing this step's plan took: no plan's fault. */
    private long choiceNanos;
    /** Most nodes of one request that this step's pages are reserved for, the root not counted. */
    private int nodesEach;
    private List<GroupState> groups = List.of();
    /** In the order of admission. */
    private List<GroupState> queue = List.of();
    private Trajectory[] finished;
    /** Null where nothing is captured. */
    private CaptureQuota quota;
    private int nextGroup;
    private long admissions;
    /** Whether a rollout has begun and not come to its end. */
    private boolean broken;

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
        requireFits(actor.config(), limits);
        limits = limits.withRowsEach(policy.rowsEach());
        this.limits = limits;
        this.sampling = sampling;
        this.stop = stop;
        this.policy = policy;
        this.shareNodes = drafting.shared();
        int maxBatch = limits.maxBatch();
        KvLayout layout = limits.layout(actor.dtype(), actor.config().numHiddenLayers(), actor.shape(), limits.pages());
        this.arena = ops.arena("rollout");
        this.cache = new PagedKvCache(ops, layout, 2 * maxBatch, limits.perSequence(), "actor KV");
        this.pass = new VerifyPass(ops, actor, arena, cache, limits, sampling, seed,
            drafter == null ? new int[0] : drafter.config().featureLayerNumbers());
        this.keptRows = new KeptRows(ops, arena, actor, drafter, limits);
        this.prefill = new Prefill(arena, cache, pass, keptRows, limits);
        this.moves = new KvMoves(ops, arena, limits.maxRows());
        this.speculators = new Speculators(ops, drafter, limits, sampling, seed, drafting, pass.trees(), keptRows.features());
        this.draftClock = ops.stageClock();
        this.slots = new LiveSlots(maxBatch, limits.maxLength());
        this.taken = new int[maxBatch];
        this.lengths = new ResponseLengths(limits.maxPrompt(), limits.maxTokens());
        this.batch = new LiveBatch(maxBatch, lengths);
        this.calibration = new ScoreCalibration(batch);
        policy.attach(batch);
    }

    private static void requireFits(ModelConfig model, RolloutLimits limits) {
        if (limits.maxTokens() > mostTokens(model, limits.maxPrompt())) {
            throw new BadInput("rollout.max_tokens: a prompt of " + limits.maxPrompt() + " tokens, a response of " + limits.maxTokens()
                + " and a draft of " + TreeBatch.MAX_DEPTH + " need " + (limits.maxLength() + TreeBatch.MAX_DEPTH)
                + " positions, but the model has max_position_embeddings " + model.maxPositionEmbeddings()
                + (mostTokens(model, limits.maxPrompt()) > 0 ? "; lower rollout.max_tokens." : "; shorten the longest prompt."));
        }
        if (limits.pages() < limits.leastPages()) {
            throw new BadInput("rollout.kv_pages: " + limits.pages() + " pages of " + limits.pageSize()
                + " tokens cannot hold one request of " + limits.maxLength() + " tokens with its draft tree; give at least "
                + limits.leastPages() + ".");
        }
    }

    /**
     * Has another kind of drafter draft from the next step on; any thread may call it, at any time. What is drawn stays the same.
     *
     * @throws BadInput if the engine was made without that drafter
     */
    public void draftWith(Drafting.Kind next) {
        speculators.want(next);
    }

    /** Who drafts from the next step on. */
    public Drafting.Kind draftsWith() {
        return speculators.wanted();
    }

    /** The longest response to a prompt of this many tokens that a model has positions for, a draft at its end included. */
    public static int mostTokens(ModelConfig model, int prompt) {
        return model.maxPositionEmbeddings() - prompt - TreeBatch.MAX_DEPTH;
    }

    /**
     * From now on this decides what is accepted, in the actor's place: steps are to be timed, or a policy is to be watched, with weights
     * that mean nothing. The policy hears of what was decided, and of nothing that the weights draw.
     */
    public void impose(ImposedAcceptance acceptance) {
        imposed = acceptance;
    }

    /** Who decides how far to speculate. */
    public PlanPolicy policy() {
        return policy;
    }

    /**
     * Draws all responses of {@code prompts}; trajectories come in request order. One thread at a time may call it.
     *
     * @throws BadInput for a prompt that is longer than the engine was built for
     * @throws IllegalStateException after a rollout that a failure broke off: its requests are still live
     */
    public Rollout generate(List<PromptGroup> prompts) {
        if (broken) {
            throw new IllegalStateException("an earlier rollout of this engine failed in the middle; close it and make another");
        }
        long start = System.nanoTime();
        begin(prompts);
        broken = true;
        while (step()) {
            // Everything happens in step.
        }
        broken = false;
        return end((System.nanoTime() - start) * 1e-9);
    }

    /** Gives the memory of cached keys and values back until the next {@link #generate}. */
    public void release() {
        pass.release();
        cache.release();
        speculators.release();
    }

    /** Queues prompts and clears the counters; {@link #step} then does the work. */
    void begin(List<PromptGroup> prompts) {
        cache.acquire();
        speculators.acquire();
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
        waitingTokens = 0;
        for (GroupState group : states) {
            waitingTokens += group.prompt.samples() * lengths.remaining(0, group.lengthScale);
        }
        finished = new Trajectory[requests];
        quota = keptRows.quota(requests);
        nextGroup = 0;
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
        List<Trajectory> trajectories = List.of(finished);
        for (Trajectory trajectory : trajectories) {
            lengths.observe(trajectory.prompt(), trajectory.response().length, groups.get(trajectory.group()).lengthScale);
        }
        lengths.refresh();
        finished = null;
        groups = List.of();
        queue = List.of();
        return new Rollout(trajectories, tally.stats(seconds));
    }

    /** Admits what fits and runs one step over all live requests; false when nothing is left to do. */
    boolean step() {
        admit();
        if (slots.count() == 0) {
            return false;
        }
        if (speculators.change(slots.live(), slots.count(), groups)) {
            calibration.clear();
        }
        long start = System.nanoTime();
        describe();
        SpeculationPlan plan = reserve();
        Slot[] live = slots.live();
        int count = slots.count();
        pass.roots(live, count);
        int nodes = 0;
        long begun = System.nanoTime();
        if (!plan.isOff()) {
            Speculator speculator = speculators.current();
            calibration.begin();
            draftClock.begin();
            speculator.draft(live, count, plan, pass.pushRoots(calibration));
            nodes = pass.shareNodes(speculator, nodesEach, count * plan.tokens());
            draftClock.end();
        }
        pass.run(live, nodes, nodes == 0 ? keptRows.roots(live, count) : null);
        if (imposed != null && nodes > 0) {
            pass.impose(imposed, plan);
            imposed.tell(policy, count, plan.branch());
        }
        int gained = accept();
        long stepNanos = System.nanoTime() - start;
        long draftNanos = Math.min(stepNanos, begun - start + (plan.isOff() ? 0 : draftClock.nanos()));
        tally.add(plan, count, gained, draftNanos, stepNanos - draftNanos);
        policy.observeStep(plan, count, count + nodes, gained, Math.max(0, draftNanos - choiceNanos), stepNanos - draftNanos);
        retire();
        return true;
    }

    /** Says who is live and about how much is left of each; all that the limit leaves before anything is known. */
    private void describe() {
        batch.clear();
        remainingTokens = waitingTokens;
        for (int r = 0; r < slots.count(); r++) {
            Slot slot = slots.live()[r];
            int drawn = slot.length - slot.promptLength();
            double left = lengths.remaining(drawn, slot.group.lengthScale);
            remainingTokens += left;
            batch.add(slot.index, slot.admitted, drawn, slot.group.lengthScale, Double.isNaN(left) ? most(slot) - drawn : left);
        }
    }

    /** Tokens after which a response is cut. */
    private int most(Slot slot) {
        return Math.min(limits.maxTokens(), slot.group.prompt.maxTokens());
    }

    // ------------------------------------------------------------------------------------------------------ admission

    private void admit() {
        boolean admitted;
        do {
            // Preempted ones first: they keep their slots and tokens, and only their keys and values are computed again.
            Slot waiting = slots.oldestPreempted();
            admitted = waiting != null ? resume(waiting)
                : slots.hasIdle() && nextGroup < queue.size() && start(queue.get(nextGroup));
        } while (admitted);
        prefill.run();
    }

    private boolean start(GroupState group) {
        int prefix = group.prefixLength();
        boolean opens = group.kvSequence == Slot.NO_SEQUENCE;
        if (!room(opens ? cache.pagesFor(prefix) : 0, prefix)) {
            return false;
        }
        Slot slot = slots.take();
        slot.start(group, group.admitted++, admissions++);
        if (opens) {
            group.kvSequence = cache.open();
            keptRows.openGroup(group);
            prefill.add(group.kvSequence, slot, prefix);
        }
        waitingTokens -= lengths.remaining(0, group.lengthScale);
        slot.kvSequence = cache.fork(group.kvSequence);
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
        prefill.add(slot.kvSequence, slot, slot.committed());
        slots.resume();
        return true;
    }

    /** Whether, after taking {@code pages}, every live request and a newcomer of {@code length} tokens can still take a decode step. */
    private boolean room(int pages, int length) {
        int step = length % limits.pageSize() == 0 ? 1 : 2;
        return cache.freePages() >= pages + step + 2 * slots.count();
    }

    private void closeGroup(GroupState group) {
        cache.close(group.kvSequence);
        group.kvSequence = Slot.NO_SEQUENCE;
        keptRows.closeGroup(group);
        speculators.closeGroup(group);
    }

    // ----------------------------------------------------------------------------------------------------------- step

    /** Chooses the plan and reserves its pages; falls back to off, then to preempting the youngest, when pages run out. */
    private SpeculationPlan reserve() {
        SpeculationPlan plan = SpeculationPlan.OFF;
        choiceNanos = 0;
        Speculator speculator = speculators.current();
        int count = slots.count();
        if (speculator != null) {
            int missed = speculator.missedRows(slots.live(), count);
            long begin = System.nanoTime();
            plan = policy.choose(count, missed, remainingTokens);
            choiceNanos = System.nanoTime() - begin;
            if ((long) count * (plan.tokens() + 1) > limits.maxRows()) {
                throw new IllegalStateException("a policy chose " + plan + " for " + count + " requests in passes of " + limits.maxRows()
                    + " rows");
            }
            if (!plan.isOff()) {
                nodesEach = shareNodes && count > 1 ? Math.min(TreeBatch.MAX_NODES - 1, plan.candidates()) : plan.tokens();
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

    private boolean reserveAll(int tokens) {
        Slot[] live = slots.live();
        for (int r = 0; r < slots.count(); r++) {
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
        if (slots.count() == 1) {
            throw new IllegalStateException("one request alone does not fit the cache it was admitted to");
        }
        leave(slots.preemptYoungest());
        tally.addPreemption();
    }

    /** Lets go of what caches hold of a request. */
    private void leave(Slot slot) {
        cache.close(slot.kvSequence);
        slot.kvSequence = Slot.NO_SEQUENCE;
        speculators.close(slot);
    }

    /** Appends accepted tokens, moves their keys and values into place, keeps by-products, commits; returns the tokens gained. */
    private int accept() {
        Slot[] live = slots.live();
        int count = slots.count();
        int gained = 0;
        for (int r = 0; r < count; r++) {
            taken[r] = accept(live[r], r);
            gained += taken[r];
        }
        moves.run(cache.store());
        keptRows.store(pass, sampling.temperature());
        for (int r = 0; r < count; r++) {
            cache.commit(live[r].kvSequence, taken[r]);
        }
        return gained;
    }

    /**
     * Takes in what the pass decided for live request {@code r}, up to its end; returns how many tokens. In three loops: as one, C2
     * compiled it for ten seconds, and of two cores that was one.
     */
    private int accept(Slot slot, int r) {
        int place = slot.committed();
        int path = pass.pathLength(r);
        int gained = append(slot, r, path);
        keep(slot, r, place, gained);
        if (pass.grown()) {
            if (imposed == null) {
                observe(slot, r, gained, path);
            }
            slot.speculativeSteps++;
            slot.speculativeTokens += gained;
        }
        return gained;
    }

    /** Appends the tokens of a path up to the request's end. */
    private int append(Slot slot, int r, int path) {
        int firstRow = pass.firstRow(r);
        int gained = 0;
        while (gained < path && !slot.done) {
            int row = firstRow + pass.pathNode(r, gained++);
            slot.tokens[slot.length] = pass.token(row);
            slot.logProbs[slot.length++] = pass.logProb(row);
            slot.ended = stop.ends(slot.tokens, slot.promptLength(), slot.length);
            slot.done = slot.ended || slot.length - slot.promptLength() == most(slot);
        }
        return gained;
    }

    /** Notes what is to be kept of the nodes whose tokens were appended, and where. */
    private void keep(Slot slot, int r, int place, int gained) {
        int firstRow = pass.firstRow(r);
        for (int i = 0; i < gained; i++) {
            int node = pass.pathNode(r, i);
            if (node != i) {
                moves.add(cache.slot(slot.kvSequence, place + node), cache.slot(slot.kvSequence, place + i));
            }
            keptRows.add(slot, place + i, firstRow + node);
        }
    }

    /** Tells the policy which candidates were right, down to the first level where none was or the response had ended. */
    private void observe(Slot slot, int r, int gained, int path) {
        int firstRow = pass.firstRow(r);
        for (int i = 0; i < gained; i++) {
            int node = pass.pathNode(r, i);
            pass.observe(policy, calibration, r, node, i + 1, pass.token(firstRow + node));
        }
        if (slot.done && gained < path) {
            pass.observe(policy, calibration, r, pass.pathNode(r, gained), gained + 1, NO_TOKEN);
        }
    }

    private void retire() {
        int r = 0;
        while (r < slots.count()) {
            Slot slot = slots.live()[r];
            if (!slot.done) {
                r++;
                continue;
            }
            GroupState group = slot.group;
            finish(slot);
            leave(slot);
            if (++group.finished == group.prompt.samples()) {
                closeGroup(group);
            }
            slots.retire(r);
        }
    }

    private void finish(Slot slot) {
        GroupState group = slot.group;
        int prompt = slot.promptLength();
        int place = 0;
        for (int g = 0; g < group.index; g++) {
            place += groups.get(g).prompt.samples();
        }
        int request = place + slot.sample;
        int pushedOut = quota == null ? -1 : quota.pushedOut();
        boolean kept = quota != null && quota.keeps(request, slot.committed());
        finished[request] = new Trajectory(group.index, slot.sample, slot.requestId, group.prompt.prompt(),
            Arrays.copyOfRange(slot.tokens, prompt, slot.length), Arrays.copyOfRange(slot.logProbs, prompt, slot.length), slot.ended,
            keptRows.read(slot, kept), slot.speculativeSteps, slot.speculativeTokens);
        while (quota != null && pushedOut < quota.pushedOut()) {
            if (finished[++pushedOut] != null) {
                finished[pushedOut] = finished[pushedOut].withoutRows();
            }
        }
    }

    @Override
    public void close() {
        policy.close();
        draftClock.close();
        speculators.close();
        pass.close();
        cache.close();
        arena.close();
    }
}

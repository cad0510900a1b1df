package org.respec.engine.rollout;

import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorInference;
import org.respec.engine.model.FeatureTarget;
import org.respec.engine.speculation.ScoreCalibration;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
import org.respec.kernels.Replay;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/**
 * The actor's pass over a step's rows, which are every live request's root and the nodes of its draft tree, and what the host reads of
 * it: the actor's token at every row, and the path that these tokens take through each tree. All that goes in and comes out is on one
 * block, so that a transfer either way is one copy.
 */
final class VerifyPass implements AutoCloseable {
    /**
     * Pools are most of what the host reads, 5 KB a request. Of no more than a full batch's requests over this they are pulled one by one:
     * three transfers more, for at most a quarter of the bytes.
     */
    private static final int FEW = 4;

    private final Ops ops;
    private final ActorInference inference;
    private final PagedKvCache cache;
    private final SamplingParams sampling;
    private final long seed;

    private final BatchView batch;
    private final TreeBatch trees;
    private final HostView rootTokens;
    private final HostView rootPositions;
    private final HostView budgets;
    private final HostView levelBiases;
    private final HostView poolCounts;
    private final HostView poolTokens;
    private final HostView poolParents;
    private final HostView poolScores;
    private final HostView nodePool;
    private final VerifyResult result;
    private final HostView pathLengths;
    private final HostView pathNodes;
    private final HostView sampled;
    private final HostView sampledLogProbs;
    /** Root tokens and positions and the levels' biases: what a draft begins with. */
    private final HostMirror roots;
    /** What the host reads after a step without trees, and after one with trees: without and with the pools of all requests. */
    private final HostMirror plainResult;
    private final HostMirror treeResult;
    private final HostMirror fullTreeResult;
    private final int fewRequests;
    private final Replay passes;
    private final Runnable plainPass = this::samplePass;
    private final Runnable treePass = this::treePass;

    private int requests;
    private int rows;
    private FeatureTarget target;
    private boolean grown;
    /** Most nodes of one request if they are shared out by the scores of candidates; 0 if the host knows how many each request has. */
    private int sharedEach;

    /**
     * @param arena holds its buffers
     * @param featureLayers see {@link ActorInference}; empty where no features are wanted
     */
    VerifyPass(Ops ops, Actor actor, TensorArena arena, PagedKvCache cache, RolloutLimits limits, SamplingParams sampling, long seed,
               int[] featureLayers) {
        this.ops = ops;
        this.cache = cache;
        this.sampling = sampling;
        this.seed = seed;
        int maxRows = limits.maxRows();
        int maxBatch = limits.maxBatch();
        inference = new ActorInference(ops, actor, maxRows, featureLayers);
        MirrorBlock block = new MirrorBlock(arena, RowBatch.bytes(maxRows, maxBatch) + 2 * MirrorBlock.bytes(DType.I32, 1, maxBatch)
            + TreeBatch.readBytes(maxBatch) + VerifyResult.bytes(maxBatch) + 2 * MirrorBlock.bytes(DType.I32, 1, maxRows));
        batch = new BatchView(block, maxRows, maxBatch);
        sampled = new HostView(block.mirror(DType.I32, 1, maxRows));
        sampledLogProbs = new HostView(block.mirror(DType.F32, 1, maxRows));
        result = VerifyResult.allocate(block, maxBatch);
        rootTokens = new HostView(block.mirror(DType.I32, 1, maxBatch));
        rootPositions = new HostView(block.mirror(DType.I32, 1, maxBatch));
        trees = TreeBatch.allocate(arena, block, maxBatch);
        roots = block.range(rootTokens.mirror(), trees.levelBiases());
        plainResult = block.range(sampled.mirror(), sampledLogProbs.mirror());
        treeResult = block.range(batch.batch.firstRows(), trees.nodePool());
        fullTreeResult = block.range(batch.batch.firstRows(), trees.poolScores());
        fewRequests = maxBatch / FEW;
        budgets = new HostView(trees.budgets());
        levelBiases = new HostView(trees.levelBiases());
        poolCounts = new HostView(trees.poolCounts());
        poolTokens = new HostView(trees.poolTokens());
        poolParents = new HostView(trees.poolParents());
        poolScores = new HostView(trees.poolScores());
        nodePool = new HostView(trees.nodePool());
        pathLengths = new HostView(result.pathLengths());
        pathNodes = new HostView(result.pathNodes());
        passes = ops.replay("rollout");
    }

    /** The trees whose pools are grown before a pass, and whose best nodes it verifies. */
    TreeBatch trees() {
        return trees;
    }

    /** Logits of the last pass, F32 [rows x vocab]. */
    Tensor logits() {
        return inference.logits();
    }

    /** Features of the last pass that kept none elsewhere, [rows x feature width] in the actor's type. */
    Tensor features() {
        return inference.features();
    }

    /**
     * Computes keys and values of decided tokens.
     *
     * @param into where their features are kept; null for nowhere
     */
    void prefill(BatchView decided, FeatureTarget into) {
        decided.push(ops);
        inference.forward(decided.batch, cache.store(), decided.requests(), decided.rows(), false, into);
    }

    /** Notes where the step's trees begin: at each request's last decided token. */
    void roots(Slot[] live, int count) {
        for (int r = 0; r < count; r++) {
            Slot slot = live[r];
            rootTokens.setInt(r, slot.tokens[slot.length - 1]);
            rootPositions.setInt(r, slot.committed());
        }
        requests = count;
    }

    /** Sends the roots, and what is known of the drafter's chances, to the device for a drafter; returns the roots' positions. */
    HostView pushRoots(ScoreCalibration calibration) {
        for (int r = 0; r < requests; r++) {
            for (int depth = 1; depth <= TreeBatch.MAX_DEPTH; depth++) {
                levelBiases.setFloat((long) r * TreeBatch.MAX_DEPTH + depth - 1, calibration.bias(r, depth));
            }
        }
        ops.push(roots, roots.host().size());
        return rootPositions;
    }

    /**
     * Sets how many candidates of each request are verified.
     *
     * @param most most of one request
     * @param total most of all together
     * @return how many all together
     */
    int shareNodes(Speculator speculator, int most, int total) {
        int there = 0;
        for (int r = 0; r < requests; r++) {
            int budget = Math.min(most, speculator.candidates(r));
            budgets.setInt(r, budget);
            there += budget;
        }
        sharedEach = there > total ? most : 0;
        if (sharedEach == 0) {
            budgets.push(ops, requests);
        }
        return Math.min(there, total);
    }

    /**
     * Runs the pass over the roots and, if there are more rows, the nodes that {@link #shareNodes} shared out.
     *
     * @param into where features are kept, the same at every call; null for {@link #features}
     */
    void run(Slot[] live, int nodes, FeatureTarget into) {
        target = into == null ? inference.ownFeatures() : into;
        rows = requests + nodes;
        grown = nodes > 0;
        batch.clear();
        if (!grown) {
            for (int r = 0; r < requests; r++) {
                Slot slot = live[r];
                int place = slot.committed();
                batch.addRequest(cache.row(slot.kvSequence), place, slot.requestId);
                batch.addRow(slot.tokens[place], place, cache.slot(slot.kvSequence, place), place, 1L);
            }
            batch.push(ops);
        } else {
            for (int r = 0; r < requests; r++) {
                batch.addRequest(cache.row(live[r].kvSequence), live[r].committed(), live[r].requestId);
            }
            batch.pushRequests(ops);
            batch.rowsToFill(rows);
        }
        passes.run(!grown ? 0 : 1 + sharedEach, batch.batch, cache.store(), requests, rows, grown ? treePass : plainPass);
        pull();
    }

    private void pull() {
        HostMirror wanted = !grown ? plainResult : requests > fewRequests ? fullTreeResult : treeResult;
        if (wanted == treeResult) {
            long pools = (long) requests * TreeBatch.POOL;
            ops.startPull(trees.poolTokens(), pools);
            ops.startPull(trees.poolParents(), pools);
            ops.startPull(trees.poolScores(), pools);
        }
        ops.pull(wanted, wanted.host().size());
    }

    /** Puts paths of which {@code acceptance} decides in the place of those that the actor took through the last pass's trees. */
    void impose(ImposedAcceptance acceptance, SpeculationPlan plan) {
        acceptance.decide(result, batch.batch, requests, plan);
    }

    private void samplePass() {
        inference.forward(batch.batch, cache.store(), requests, rows, true, target);
        ops.sample(inference.logits(), batch.batch, sampling, seed, sampled.mirror().device(), sampledLogProbs.mirror().device(), rows);
    }

    private void treePass() {
        if (sharedEach > 0) {
            ops.draftBudgets(trees, requests, rows - requests, sharedEach);
        }
        ops.draftSelect(rootTokens.mirror(), rootPositions.mirror(), trees, requests, batch.batch, cache.store());
        samplePass();
        ops.verifyTrees(batch.batch, sampled.mirror().device(), trees, requests, result);
    }

    /** Whether the last pass had trees. */
    boolean grown() {
        return grown;
    }

    /** First row of live request {@code r}: its root's. */
    int firstRow(int r) {
        return grown ? batch.firstRows.getInt(r) : r;
    }

    /** Nodes on the accepted path of live request {@code r}, the root counted. */
    int pathLength(int r) {
        return grown ? pathLengths.getInt(r) : 1;
    }

    /** Node number {@code i} of that path: 0 is the root. */
    int pathNode(int r, int i) {
        return i == 0 ? 0 : pathNodes.getInt((long) r * TreeBatch.MAX_NODES + i);
    }

    /** The actor's token after a row. */
    int token(int row) {
        return sampled.getInt(row);
    }

    /** Its log-probability. */
    float logProb(int row) {
        return sampledLogProbs.getFloat(row);
    }

    /**
     * Tells which of the drafter's choices after a node the actor's token was; nothing if the node had none,
     * as the deepest level's have. Paths are to be the actor's own: on one that was set, nodes need not be each other's children.
     *
     * @param depth of these choices
     */
    void observe(PlanPolicy policy, ScoreCalibration calibration, int r, int node, int depth, int token) {
        long base = (long) r * TreeBatch.POOL;
        int parent = node == 0 ? -1 : nodePool.getInt((long) r * TreeBatch.MAX_NODES + node);
        double above = parent < 0 ? 0 : poolScores.getFloat(base + parent);
        int count = poolCounts.getInt(r);
        int named = 0;
        int rank = -1;
        double chance = 0;
        for (int i = Math.max(0, parent + 1); i < count; i++) {
            if (poolParents.getInt(base + i) == parent) {
                if (poolTokens.getInt(base + i) == token) {
                    rank = named;
                }
                chance += Math.exp(poolScores.getFloat(base + i) - above);
                named++;
            }
        }
        if (named > 0 && token >= 0) {
            policy.observeRank(r, depth, rank, named);
            calibration.observe(r, depth, chance, rank >= 0);
        } else if (named > 0) {
            calibration.observeEnd(r, depth, chance);
        }
    }

    /** Forgets recorded passes: memory that they name is about to go. */
    void release() {
        passes.close();
    }

    @Override
    public void close() {
        passes.close();
        inference.close();
    }
}

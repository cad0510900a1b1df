package org.respec.kernels.check;

import java.util.function.Function;
import org.respec.kernels.HostMirror;
import org.respec.kernels.TreeBatch;

/** The same {@link TreeBatch} on the CPU and on a device. */
final class TreePair {
    /** What scores may differ by. */
    static final double SCORE_TOLERANCE = 3e-5;

    final TreeBatch truth;
    final TreeBatch device;
    final MirrorPair levelBiases;
    final MirrorPair poolTokens;
    final MirrorPair poolParents;
    final MirrorPair poolRanks;
    final MirrorPair poolDepths;
    final MirrorPair poolScores;
    final MirrorPair poolMasks;
    final MirrorPair poolCounts;
    final MirrorPair frontier;
    final MirrorPair frontierParents;
    final MirrorPair budgets;
    final MirrorPair nodeTokens;
    final MirrorPair nodeParents;
    final MirrorPair nodeDepths;
    final MirrorPair nodePool;
    final MirrorPair nodeMasks;
    final MirrorPair nodeCounts;

    TreePair(CheckBench bench, int maxRequests) {
        truth = TreeBatch.allocate(bench.truthArena(), maxRequests);
        device = TreeBatch.allocate(bench.deviceArena(), maxRequests);
        levelBiases = pair(bench, TreeBatch::levelBiases);
        poolTokens = pair(bench, TreeBatch::poolTokens);
        poolParents = pair(bench, TreeBatch::poolParents);
        poolRanks = pair(bench, TreeBatch::poolRanks);
        poolDepths = pair(bench, TreeBatch::poolDepths);
        poolScores = pair(bench, TreeBatch::poolScores);
        poolMasks = pair(bench, TreeBatch::poolMasks);
        poolCounts = pair(bench, TreeBatch::poolCounts);
        frontier = pair(bench, TreeBatch::frontier);
        frontierParents = pair(bench, TreeBatch::frontierParents);
        budgets = pair(bench, TreeBatch::budgets);
        nodeTokens = pair(bench, TreeBatch::nodeTokens);
        nodeParents = pair(bench, TreeBatch::nodeParents);
        nodeDepths = pair(bench, TreeBatch::nodeDepths);
        nodePool = pair(bench, TreeBatch::nodePool);
        nodeMasks = pair(bench, TreeBatch::nodeMasks);
        nodeCounts = pair(bench, TreeBatch::nodeCounts);
    }

    private MirrorPair pair(CheckBench bench, Function<TreeBatch, HostMirror> field) {
        return new MirrorPair(bench.device(), field.apply(truth), field.apply(device));
    }

    /** Fails unless the pools and frontiers are equal, scores to the tolerance. */
    void samePools(CheckBench bench, String what) {
        poolCounts.same(bench, what + ": poolCounts");
        poolTokens.same(bench, what + ": poolTokens");
        poolParents.same(bench, what + ": poolParents");
        poolRanks.same(bench, what + ": poolRanks");
        poolDepths.same(bench, what + ": poolDepths");
        poolScores.near(bench, what + ": poolScores", 1e-6, SCORE_TOLERANCE);
        frontier.same(bench, what + ": frontier");
        frontierParents.same(bench, what + ": frontierParents");
        poolMasks.same(bench, what + ": poolMasks");
    }

    /** Fails unless the nodes are equal. */
    void sameNodes(CheckBench bench, String what) {
        nodeCounts.same(bench, what + ": nodeCounts");
        nodeTokens.same(bench, what + ": nodeTokens");
        nodeParents.same(bench, what + ": nodeParents");
        nodeDepths.same(bench, what + ": nodeDepths");
        nodePool.same(bench, what + ": nodePool");
        nodeMasks.same(bench, what + ": nodeMasks");
    }
}

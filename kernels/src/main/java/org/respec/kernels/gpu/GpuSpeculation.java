package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Growing, selecting and verifying draft trees: checks, then launches. Draft logits are F32 or BF16. */
final class GpuSpeculation {
    /** Bits of a mask of in-flight tokens. */
    private static final int IN_FLIGHT = 64;

    private final VerifyTreesKernel verifyTrees;
    private final DraftExpandKernel draftExpand;
    private final DraftBudgetsKernel draftBudgets;
    private final DraftSelectKernel draftSelect;

    GpuSpeculation(GpuContext gpu) {
        verifyTrees = new VerifyTreesKernel(gpu);
        draftExpand = new DraftExpandKernel(gpu);
        draftBudgets = new DraftBudgetsKernel(gpu);
        draftSelect = new DraftSelectKernel(gpu);
    }

    void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        nodes("verifyTrees", trees, requests);
        vector("verifyTrees", "firstRows", batch.firstRows(), DType.I32, requests + 1);
        Checks.vector("verifyTrees", "sampled", sampled, DType.I32, requests);
        vector("verifyTrees", "pathLengths", result.pathLengths(), DType.I32, requests);
        table("verifyTrees", "pathNodes", result.pathNodes(), DType.I32, requests, TreeBatch.MAX_NODES);
        verifyTrees.launch(batch, sampled, trees, requests, result);
    }

    void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed,
            HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        pool("draftExpand", trees, requests);
        int vocab = logits.cols();
        if (level < 1 || level > TreeBatch.MAX_DEPTH || branch < 1 || branch > Math.min(TreeBatch.MAX_BRANCH, vocab) || !(sharpness > 0)
            || rowsPerRequest != (level == 1 ? 1 : branch) || level * branch > IN_FLIGHT || next.maxRows() < requests * branch) {
            throw new IllegalArgumentException("draftExpand: level " + level + " (1 to " + TreeBatch.MAX_DEPTH + "), branch " + branch
                + " (1 to " + Math.min(TreeBatch.MAX_BRANCH, vocab) + "), " + rowsPerRequest + " rows per request, sharpness " + sharpness
                + ", " + next.maxRows() + " next rows for " + requests + " requests");
        }
        LogitRows.check("draftExpand", logits, Math.multiplyExact(requests, rowsPerRequest));
        vector("draftExpand", "rootPositions", rootPositions, DType.I32, requests);
        table("draftExpand", "levelBiases", trees.levelBiases(), DType.F32, requests, TreeBatch.MAX_DEPTH);
        requests("draftExpand", next, requests);
        draftExpand.launch(logits, rowsPerRequest, level, branch, sharpness, params.temperature(), seed, rootPositions, trees, requests,
            next, draftKv);
    }

    void draftBudgets(TreeBatch trees, int requests, int total, int each) {
        pool("draftBudgets", trees, requests);
        vector("draftBudgets", "budgets", trees.budgets(), DType.I32, requests);
        if (total < 0 || each < 0 || each > TreeBatch.MAX_NODES - 1) {
            throw new IllegalArgumentException("draftBudgets: a total of " + total + " nodes (0 or more), " + each + " a request (0 to "
                + (TreeBatch.MAX_NODES - 1) + ")");
        }
        draftBudgets.launch(trees, requests, total, each);
    }

    void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        pool("draftSelect", trees, requests);
        nodes("draftSelect", trees, requests);
        vector("draftSelect", "budgets", trees.budgets(), DType.I32, requests);
        vector("draftSelect", "rootTokens", rootTokens, DType.I32, requests);
        vector("draftSelect", "rootPositions", rootPositions, DType.I32, requests);
        requests("draftSelect", verify, requests);
        vector("draftSelect", "firstRows", verify.firstRows(), DType.I32, requests + 1);
        draftSelect.launch(rootTokens, rootPositions, trees, requests, verify, kv);
    }

    private static void requests(String operator, RowBatch batch, int requests) {
        vector(operator, "sequences", batch.sequences(), DType.I32, requests);
        vector(operator, "committed", batch.committed(), DType.I32, requests);
        vector(operator, "requestIds", batch.requestIds(), DType.I64, requests);
    }

    private static void pool(String operator, TreeBatch trees, int requests) {
        table(operator, "poolTokens", trees.poolTokens(), DType.I32, requests, TreeBatch.POOL);
        table(operator, "poolParents", trees.poolParents(), DType.I32, requests, TreeBatch.POOL);
        table(operator, "poolRanks", trees.poolRanks(), DType.I32, requests, TreeBatch.POOL);
        table(operator, "poolDepths", trees.poolDepths(), DType.I32, requests, TreeBatch.POOL);
        table(operator, "poolScores", trees.poolScores(), DType.F32, requests, TreeBatch.POOL);
        table(operator, "poolMasks", trees.poolMasks(), DType.I64, requests, TreeBatch.POOL);
        vector(operator, "poolCounts", trees.poolCounts(), DType.I32, requests);
        table(operator, "frontier", trees.frontier(), DType.I32, requests, TreeBatch.MAX_BRANCH);
        vector(operator, "frontierParents", trees.frontierParents(), DType.I32, Math.multiplyExact(requests, TreeBatch.MAX_BRANCH));
    }

    private static void nodes(String operator, TreeBatch trees, int requests) {
        table(operator, "nodeTokens", trees.nodeTokens(), DType.I32, requests, TreeBatch.MAX_NODES);
        table(operator, "nodeParents", trees.nodeParents(), DType.I32, requests, TreeBatch.MAX_NODES);
        table(operator, "nodeDepths", trees.nodeDepths(), DType.I32, requests, TreeBatch.MAX_NODES);
        table(operator, "nodePool", trees.nodePool(), DType.I32, requests, TreeBatch.MAX_NODES);
        table(operator, "nodeMasks", trees.nodeMasks(), DType.I64, requests, TreeBatch.MAX_NODES);
        vector(operator, "nodeCounts", trees.nodeCounts(), DType.I32, requests);
    }

    private static void vector(String operator, String argument, HostMirror mirror, DType dtype, int count) {
        Checks.vector(operator, argument, mirror.device(), dtype, count);
    }

    /** The kernels take rows without gaps. */
    private static void table(String operator, String argument, HostMirror mirror, DType dtype, int rows, int cols) {
        Checks.matrix(operator, argument, mirror.device(), dtype, rows, cols);
        if (!mirror.device().contiguous()) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be without gaps, got " + mirror.device());
        }
    }
}

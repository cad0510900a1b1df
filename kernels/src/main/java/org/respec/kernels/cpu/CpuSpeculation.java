package org.respec.kernels.cpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.NoiseField;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Growing, choosing and walking draft trees. Per request this is little work, done on the calling thread. */
final class CpuSpeculation {
    private static final int POOL = TreeBatch.POOL;
    private static final int NODES = TreeBatch.MAX_NODES;
    private static final int BRANCH = TreeBatch.MAX_BRANCH;

    private float[] noise = new float[0];
    private float[] scores = new float[0];
    private float[] sharpened = new float[0];
    private int[] words = new int[0];
    private final int[] bestTokens = new int[BRANCH];
    private final float[] bestScores = new float[BRANCH];
    private final boolean[] kept = new boolean[POOL];
    private final int[] nodeOfPool = new int[POOL];
    private final int[] ownKeys = new int[POOL];
    private final int[] histogram = new int[256];
    private int[] keys = new int[0];
    private int[] firstKeys = new int[0];

    void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        Checks.vector("verifyTrees", "firstRows", batch.firstRows().device(), DType.I32, requests + 1);
        long firstRows = batch.firstRows().device().address();
        int rows = requests == 0 ? 0 : Simd.getInt(firstRows + 4L * requests);
        Checks.vector("verifyTrees", "sampled", sampled, DType.I32, rows);
        checkTrees("verifyTrees", trees, requests);
        for (int r = 0; r < requests; r++) {
            int first = Simd.getInt(firstRows + 4L * r);
            int count = Simd.getInt(at(trees.nodeCounts(), 0, r));
            if (count < 1 || count > NODES || first < 0 || first + count > rows) {
                throw new IllegalArgumentException("verifyTrees: request " + r + " with " + count + " nodes from row " + first
                    + " must have 1 to " + NODES + " nodes within " + rows + " rows");
            }
            int node = 0;
            int length = 1;
            Simd.putInt(at(result.pathNodes(), r, 0), 0);
            while (node >= 0) {
                int token = Simd.getInt(sampled.address() + 4L * (first + node));
                int next = -1;
                for (int child = node + 1; child < count && next < 0; child++) {
                    if (Simd.getInt(at(trees.nodeParents(), r, child)) == node && Simd.getInt(at(trees.nodeTokens(), r, child)) == token) {
                        next = child;
                    }
                }
                if (next > 0) {
                    Simd.putInt(at(result.pathNodes(), r, length++), next);
                }
                node = next;
            }
            Simd.putInt(at(result.pathLengths(), 0, r), length);
        }
    }

    private static void checkTrees(String operator, TreeBatch trees, int requests) {
        if (requests < 0 || requests > trees.nodeTokens().host().rows()) {
            throw new IllegalArgumentException(operator + ": " + requests + " requests in a tree batch for "
                + trees.nodeTokens().host().rows());
        }
    }

    private static long at(HostMirror mirror, int row, int col) {
        Tensor t = mirror.device();
        return t.address() + t.dtype().bytes() * (row * t.rowStride() + col);
    }

    void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed,
                     HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        int vocab = logits.cols();
        Checks.matrix("draftExpand", "logits", logits, requests * rowsPerRequest, vocab);
        Checks.vector("draftExpand", "rootPositions", rootPositions.device(), DType.I32, requests);
        checkTrees("draftExpand", trees, requests);
        if (level < 1 || level > TreeBatch.MAX_DEPTH || branch < 1 || branch > Math.min(BRANCH, vocab) || !(sharpness > 0)
            || rowsPerRequest != (level == 1 ? 1 : branch) || level * branch > 64 || next.maxRows() < requests * branch) {
            throw new IllegalArgumentException("draftExpand: level " + level + " (1 to " + TreeBatch.MAX_DEPTH + "), branch " + branch
                + " (1 to " + BRANCH + "), " + rowsPerRequest + " rows per request, sharpness " + sharpness);
        }
        int padded = FastMath.padded(vocab);
        if (noise.length < padded) {
            noise = new float[padded];
            scores = new float[padded];
            sharpened = new float[padded];
            words = new int[padded];
        }
        for (int r = 0; r < requests; r++) {
            int position = Simd.getInt(at(rootPositions, 0, r)) + level;
            if (params.temperature() > 0) {
                NoiseField.fill(seed, Simd.getLong(at(next.requestIds(), 0, r)), position, vocab, words, noise);
            }
            int start = level == 1 ? 0 : Simd.getInt(at(trees.poolCounts(), 0, r));
            float bias = Simd.get(at(trees.levelBiases(), r, level - 1));
            int count = start;
            for (int f = 0; f < rowsPerRequest; f++) {
                int parent = level == 1 ? -1 : Simd.getInt(at(trees.frontier(), r, f));
                float base = level == 1 ? 0 : Simd.get(at(trees.poolScores(), r, parent));
                float norm = perturb(logits.address() + (r * rowsPerRequest + f) * logits.rowStride() * 4, vocab, sharpness, params);
                best(vocab, branch);
                for (int k = 0; k < branch; k++) {
                    Simd.putInt(at(trees.poolTokens(), r, count), bestTokens[k]);
                    Simd.putInt(at(trees.poolParents(), r, count), parent);
                    Simd.putInt(at(trees.poolRanks(), r, count), k);
                    Simd.putInt(at(trees.poolDepths(), r, count), level);
                    Simd.put(at(trees.poolScores(), r, count), base + Math.min(0f, sharpness * bestScores[k] - norm + bias));
                    count++;
                }
            }
            Simd.putInt(at(trees.poolCounts(), 0, r), count);
            advance(r, start, count, level, branch, rowsPerRequest, position, trees, next, draftKv);
        }
    }

    /** Fills {@code scores} with logits over temperature plus noise; returns the log-sum-exp of {@code sharpness} times them. */
    private float perturb(long row, int vocab, float sharpness, SamplingParams params) {
        float inverse = params.temperature() > 0 ? 1f / params.temperature() : 1f;
        boolean noisy = params.temperature() > 0;
        float max = Float.NEGATIVE_INFINITY;
        for (int x = 0; x < vocab; x++) {
            float s = Simd.get(row + 4L * x) * inverse + (noisy ? noise[x] : 0f);
            scores[x] = s;
            max = Math.max(max, s);
        }
        int padded = FastMath.padded(vocab);
        for (int x = 0; x < vocab; x++) {
            sharpened[x] = sharpness * scores[x];
        }
        java.util.Arrays.fill(sharpened, vocab, padded, Float.NEGATIVE_INFINITY);
        return sharpness * max + (float) Math.log(FastMath.expAndSum(sharpened, padded, sharpness * max, sharpened));
    }

    /** The {@code branch} largest scores, ties to the smaller token. */
    private void best(int vocab, int branch) {
        int found = 0;
        for (int x = 0; x < vocab; x++) {
            float s = scores[x];
            if (found == branch && !(s > bestScores[branch - 1])) {
                continue;
            }
            int at = Math.min(found, branch - 1);
            while (at > 0 && !(bestScores[at - 1] >= s)) {
                bestScores[at] = bestScores[at - 1];
                bestTokens[at] = bestTokens[at - 1];
                at--;
            }
            bestScores[at] = s;
            bestTokens[at] = x;
            found = Math.min(branch, found + 1);
        }
    }

    /** Makes the best new candidates the frontier and fills their rows. */
    private void advance(int r, int start, int count, int level, int branch, int rowsPerRequest, int position, TreeBatch trees,
                         RowBatch next, KvStore draftKv) {
        int committed = Simd.getInt(at(next.committed(), 0, r));
        int sequence = Simd.getInt(at(next.sequences(), 0, r));
        for (int i = start; i < count; i++) {
            kept[i] = false;
        }
        for (int f = 0; f < branch; f++) {
            int best = -1;
            for (int i = start; i < count; i++) {
                if (!kept[i] && (best < 0 || Simd.get(at(trees.poolScores(), r, i)) > Simd.get(at(trees.poolScores(), r, best)))) {
                    best = i;
                }
            }
            kept[best] = true;
            int inFlight = (level - 1) * branch + f;
            int parent = Simd.getInt(at(trees.poolParents(), r, best));
            long mask = (parent < 0 ? 0L : Simd.getLong(at(trees.poolMasks(), r, parent))) | (1L << inFlight);
            int row = r * branch + f;
            Simd.putLong(at(trees.poolMasks(), r, best), mask);
            Simd.putInt(at(trees.frontier(), r, f), best);
            Simd.putInt(at(trees.frontierParents(), 0, row), r * rowsPerRequest + (best - start) / branch);
            Simd.putInt(at(next.tokens(), 0, row), Simd.getInt(at(trees.poolTokens(), r, best)));
            Simd.putInt(at(next.positions(), 0, row), position - 1);
            // The deepest level is never expanded, so its places may lie past what was reserved.
            Simd.putInt(at(next.slots(), 0, row), slotOrNone(draftKv, sequence, committed + inFlight));
            Simd.putInt(at(next.contexts(), 0, row), committed);
            Simd.putLong(at(next.masks(), 0, row), mask);
            Simd.putInt(at(next.rowRequests(), 0, row), r);
        }
    }

    private static int slotOrNone(KvStore kv, int sequence, int place) {
        Tensor table = kv.pageTable().device();
        int pageSize = kv.layout().pageSize();
        if (sequence < 0 || sequence >= table.rows() || place < 0 || place / pageSize >= table.cols()) {
            return -1;
        }
        int page = Simd.getInt(table.address() + 4 * (sequence * table.rowStride() + place / pageSize));
        return page < 0 ? -1 : page * pageSize + place % pageSize;
    }

    void draftBudgets(TreeBatch trees, int requests, int total, int each) {
        checkTrees("draftBudgets", trees, requests);
        if (total < 0 || each < 0 || each > NODES - 1) {
            throw new IllegalArgumentException("draftBudgets: a total of " + total + " nodes (0 or more), " + each + " a request (0 to "
                + (NODES - 1) + ")");
        }
        if (keys.length < requests * each) {
            keys = new int[requests * each];
        }
        if (firstKeys.length <= requests) {
            firstKeys = new int[requests + 1];
        }
        int all = 0;
        for (int r = 0; r < requests; r++) {
            firstKeys[r] = all;
            all = addKeys(r, each, all, trees);
        }
        firstKeys[requests] = all;
        int left = Math.min(total, all);
        // Of the candidates that reach the least score kept, those above it are all kept; the rest goes to ties, in order.
        int least = left == 0 ? Integer.MAX_VALUE : threshold(keys, all, left);
        for (int i = 0; i < all; i++) {
            left -= keys[i] > least ? 1 : 0;
        }
        for (int r = 0; r < requests; r++) {
            int budget = 0;
            for (int i = firstKeys[r]; i < firstKeys[r + 1]; i++) {
                if (keys[i] > least) {
                    budget++;
                } else if (keys[i] == least && left > 0) {
                    budget++;
                    left--;
                }
            }
            Simd.putInt(at(trees.budgets(), 0, r), budget);
        }
    }

    /** Appends the keys of a request's {@code each} best candidates to {@code keys}; returns where they end. */
    private int addKeys(int r, int each, int from, TreeBatch trees) {
        int count = Simd.getInt(at(trees.poolCounts(), 0, r));
        if (count < 0 || count > POOL) {
            throw new IllegalArgumentException("draftBudgets: request " + r + " has a pool of " + count + ", which must be 0 to " + POOL);
        }
        for (int i = 0; i < count; i++) {
            ownKeys[i] = ordered(Simd.get(at(trees.poolScores(), r, i)));
        }
        int least = count <= each ? Integer.MIN_VALUE : each == 0 ? Integer.MAX_VALUE : threshold(ownKeys, count, each);
        int end = from;
        for (int i = 0; i < count; i++) {
            if (ownKeys[i] > least || count <= each) {
                keys[end++] = ownKeys[i];
            }
        }
        while (end < from + Math.min(each, count)) {
            keys[end++] = least;
        }
        return end;
    }

    /** Floats as signed integers in the same order, both zeros as one. */
    private static int ordered(float x) {
        int bits = Float.floatToRawIntBits(x + 0f);
        return bits < 0 ? bits ^ Integer.MAX_VALUE : bits;
    }

    /** The {@code rank}-th largest of the first {@code count} values, byte by byte from the top. */
    private int threshold(int[] values, int count, int rank) {
        int prefix = 0;
        int left = rank;
        for (int shift = 24; shift >= 0; shift -= 8) {
            java.util.Arrays.fill(histogram, 0);
            for (int i = 0; i < count; i++) {
                int biased = values[i] ^ Integer.MIN_VALUE;
                if (shift == 24 || (biased ^ prefix) >>> (shift + 8) == 0) {
                    histogram[(biased >>> shift) & 0xff]++;
                }
            }
            int digit = 255;
            while (histogram[digit] < left) {
                left -= histogram[digit--];
            }
            prefix |= digit << shift;
        }
        return prefix ^ Integer.MIN_VALUE;
    }

    void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        checkTrees("draftSelect", trees, requests);
        int row = 0;
        for (int r = 0; r < requests; r++) {
            int count = Simd.getInt(at(trees.poolCounts(), 0, r));
            int budget = Math.min(Simd.getInt(at(trees.budgets(), 0, r)), count);
            if (count < 0 || count > POOL || budget < 0 || budget > NODES - 1 || row + budget + 1 > verify.maxRows()) {
                throw new IllegalArgumentException("draftSelect: request " + r + " with a pool of " + count + " and a budget of " + budget
                    + " must fit " + NODES + " nodes and " + verify.maxRows() + " rows");
            }
            keepBest(r, count, budget, trees);
            int committed = Simd.getInt(at(verify.committed(), 0, r));
            int sequence = Simd.getInt(at(verify.sequences(), 0, r));
            int rootPosition = Simd.getInt(at(rootPositions, 0, r));
            Simd.putInt(at(verify.firstRows(), 0, r), row);
            int node = 0;
            for (int i = -1; i < count; i++) {
                if (i >= 0 && !kept[i]) {
                    continue;
                }
                int parentPool = i < 0 ? -1 : Simd.getInt(at(trees.poolParents(), r, i));
                int parent = i < 0 ? -1 : parentPool < 0 ? 0 : nodeOfPool[parentPool];
                int depth = i < 0 ? 0 : Simd.getInt(at(trees.poolDepths(), r, i));
                int token = i < 0 ? Simd.getInt(at(rootTokens, 0, r)) : Simd.getInt(at(trees.poolTokens(), r, i));
                long mask = (parent < 0 ? 0L : Simd.getLong(at(trees.nodeMasks(), r, parent))) | (1L << node);
                if (i >= 0) {
                    nodeOfPool[i] = node;
                }
                Simd.putInt(at(trees.nodeTokens(), r, node), token);
                Simd.putInt(at(trees.nodeParents(), r, node), parent);
                Simd.putInt(at(trees.nodeDepths(), r, node), depth);
                Simd.putInt(at(trees.nodePool(), r, node), i);
                Simd.putLong(at(trees.nodeMasks(), r, node), mask);
                Simd.putInt(at(verify.tokens(), 0, row), token);
                Simd.putInt(at(verify.positions(), 0, row), rootPosition + depth);
                int slot = slotOrNone(kv, sequence, committed + node);
                if (slot < 0) {
                    throw new IllegalArgumentException("draftSelect: place " + (committed + node) + " of request " + r + " has no page");
                }
                Simd.putInt(at(verify.slots(), 0, row), slot);
                Simd.putInt(at(verify.contexts(), 0, row), committed);
                Simd.putLong(at(verify.masks(), 0, row), mask);
                Simd.putInt(at(verify.rowRequests(), 0, row), r);
                node++;
                row++;
            }
            Simd.putInt(at(trees.nodeCounts(), 0, r), node);
            Simd.putInt(at(verify.firstRows(), 0, r + 1), row);
        }
    }

    /** Marks the {@code budget} best; a child never beats its parent, and comes after it, so the marked set is connected. */
    private void keepBest(int r, int count, int budget, TreeBatch trees) {
        for (int i = 0; i < count; i++) {
            kept[i] = false;
        }
        for (int k = 0; k < budget; k++) {
            int best = -1;
            float top = 0;
            for (int i = 0; i < count; i++) {
                if (!kept[i]) {
                    float score = Simd.get(at(trees.poolScores(), r, i));
                    if (best < 0 || score > top) {
                        best = i;
                        top = score;
                    }
                }
            }
            kept[best] = true;
        }
    }
}

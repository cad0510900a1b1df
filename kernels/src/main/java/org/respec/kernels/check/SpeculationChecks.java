package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Checks of draft trees: whole sequences of expand, select and verify on both sides, every array compared after every step. */
final class SpeculationChecks {
    private static final int PAGE = 16;
    private static final int PAGES = 8;
    /** Candidates whose scores are nearer than this may change places, as scores agree to a tolerance only. */
    private static final double DOUBT = 3 * TreePair.SCORE_TOLERANCE;

    private SpeculationChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("draft trees" + name, bench -> shapes(bench, dtype)));
            checks.add(new OperatorCheck("draft trees wide" + name, bench -> wide(bench, dtype)));
        }
        checks.add(new OperatorCheck("draft trees degenerate", SpeculationChecks::degenerate));
        checks.add(new OperatorCheck("draft trees row by row", SpeculationChecks::rowByRow));
        checks.add(new OperatorCheck("draftSelect pools", SpeculationChecks::pools));
        checks.add(new OperatorCheck("draftBudgets", SpeculationChecks::shared));
        checks.add(new OperatorCheck("draftSelect many requests", SpeculationChecks::manyRequests));
        checks.add(new OperatorCheck("verifyTrees shapes", SpeculationChecks::smallTrees));
        checks.add(new OperatorCheck("verifyTrees large", SpeculationChecks::largeTrees));
        checks.add(new OperatorCheck("speculation faults", SpeculationChecks::faults));
        checks.add(new OperatorCheck("speculation refusals", SpeculationChecks::refusals));
        return checks;
    }

    /** What a batch of requests works with on both sides. */
    private static final class Fixture {
        private final CheckBench bench;
        private final int requests;
        private final TreePair trees;
        private final BatchPair next;
        private final BatchPair verify;
        private final MirrorPair rootTokens;
        private final MirrorPair rootPositions;
        private final MirrorPair table;
        private final KvStore truthKv;
        private final KvStore deviceKv;
        private final VerifyResult truthResult;
        private final VerifyResult deviceResult;
        private final MirrorPair pathLengths;
        private final MirrorPair pathNodes;

        /** Sequences are shuffled, pages too, and the draft's last places have none. */
        Fixture(CheckBench bench, int requests) {
            this.bench = bench;
            this.requests = requests;
            SplittableRandom random = bench.random();
            int room = Math.max(1, requests);
            trees = new TreePair(bench, room + 1);
            next = new BatchPair(bench, room * TreeBatch.MAX_BRANCH + 1, room + 1);
            verify = new BatchPair(bench, room * TreeBatch.MAX_NODES + 1, room + 1);
            rootTokens = ints(room);
            rootPositions = ints(room);
            table = new MirrorPair(bench.device(), bench.truthArena().mirror(DType.I32, room, PAGES),
                bench.deviceArena().mirror(DType.I32, room, PAGES));
            KvLayout layout = new KvLayout(DType.F32, 1, 1, 1, PAGE, room * PAGES);
            truthKv = KvStore.allocate(bench.truthArena(), layout, table.truth());
            deviceKv = KvStore.allocate(bench.deviceArena(), layout, table.device());
            truthResult = VerifyResult.allocate(bench.truthArena(), room);
            deviceResult = VerifyResult.allocate(bench.deviceArena(), room);
            pathLengths = new MirrorPair(bench.device(), truthResult.pathLengths(), deviceResult.pathLengths());
            pathNodes = new MirrorPair(bench.device(), truthResult.pathNodes(), deviceResult.pathNodes());
            int[] order = random.ints(room, 0, Integer.MAX_VALUE).toArray();
            for (int r = 0; r < requests; r++) {
                int committed = random.nextInt(PAGE * (PAGES - 4) - 1);
                int sequence = rank(order, r);
                for (BatchPair batch : List.of(next, verify)) {
                    batch.sequences.setInt(r, sequence);
                    batch.committed.setInt(r, committed);
                    batch.requestIds.setLong(r, 1000 + r * 77L);
                }
                rootTokens.setInt(r, random.nextInt(1000));
                rootPositions.setInt(r, random.nextInt(5000));
                trees.budgets.setInt(r, random.nextInt(TreeBatch.MAX_NODES));
                for (int level = 0; level < TreeBatch.MAX_DEPTH; level++) {
                    // None for every other request; else mostly less, as a drafter is surer of itself than it should be.
                    float bias = r % 2 == 0 ? 0 : (float) (0.3 - random.nextDouble());
                    trees.levelBiases.setInt(r * (long) TreeBatch.MAX_DEPTH + level, Float.floatToRawIntBits(bias));
                }
                for (int page = 0; page < PAGES; page++) {
                    table.setInt(sequence * PAGES + page, random.nextInt(room * PAGES));
                }
            }
            push();
        }

        void push() {
            for (MirrorPair pair : List.of(rootTokens, rootPositions, table, trees.budgets, trees.levelBiases)) {
                pair.push();
            }
            next.push();
            verify.push();
        }

        private MirrorPair ints(int count) {
            return new MirrorPair(bench.device(), bench.truthArena().mirror(DType.I32, 1, count),
                bench.deviceArena().mirror(DType.I32, 1, count));
        }

        private static int rank(int[] order, int r) {
            int rank = 0;
            for (int i = 0; i < order.length; i++) {
                rank += order[i] < order[r] || (order[i] == order[r] && i < r) ? 1 : 0;
            }
            return rank;
        }

        void expand(Twin logits, int level, int branch, float sharpness, SamplingParams params, long seed) {
            int rows = level == 1 ? 1 : branch;
            bench.truth().draftExpand(logits.truth(), rows, level, branch, sharpness, params, seed, rootPositions.truth(), trees.truth,
                requests, next.truth, truthKv);
            expandOnDevice(logits.device(), rows, level, branch, sharpness, params, requests, seed);
        }

        void expandOnDevice(Tensor logits, int rows, int level, int branch, float sharpness, SamplingParams params, int count, long seed) {
            bench.device().draftExpand(logits, rows, level, branch, sharpness, params, seed, rootPositions.device(), trees.device, count,
                next.device, deviceKv);
        }

        /** Whether two different scores of one request lie so near that frontier or nodes could come out in another order. */
        boolean doubtful(int from) {
            for (int r = 0; r < requests; r++) {
                int count = trees.poolCounts.want(r);
                float[] scores = new float[count - from];
                for (int i = from; i < count; i++) {
                    scores[i - from] = trees.poolScores.wantFloat((long) r * TreeBatch.POOL + i);
                }
                Arrays.sort(scores);
                for (int i = 1; i < scores.length; i++) {
                    double gap = scores[i] - scores[i - 1];
                    if (gap > 0 && gap < DOUBT * (1 + Math.abs(scores[i]) / 30)) {
                        return true;
                    }
                }
            }
            return false;
        }

        void share(int total, int each) {
            bench.truth().draftBudgets(trees.truth, requests, total, each);
            shareOnDevice(requests, total, each);
        }

        void shareOnDevice(int count, int total, int each) {
            bench.device().draftBudgets(trees.device, count, total, each);
        }

        void select() {
            bench.truth().draftSelect(rootTokens.truth(), rootPositions.truth(), trees.truth, requests, verify.truth, truthKv);
            selectOnDevice(requests);
        }

        void selectOnDevice(int count) {
            bench.device().draftSelect(rootTokens.device(), rootPositions.device(), trees.device, count, verify.device, deviceKv);
        }

        void verify(Twin sampled) {
            bench.truth().verifyTrees(verify.truth, sampled.truth(), trees.truth, requests, truthResult);
            verifyOnDevice(sampled.device(), requests);
        }

        void verifyOnDevice(Tensor sampled, int count) {
            bench.device().verifyTrees(verify.device, sampled, trees.device, count, deviceResult);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ sequences

    private static void shapes(CheckBench bench, DType dtype) {
        int[][] plans = {{1, 1}, {8, 1}, {2, 2}, {8, 2}, {3, 3}, {4, 4}, {5, 5}, {3, 6}, {2, 7}, {8, 8}};
        int[] vocabs = {1, 3, 18, 41, 401, 1271};
        int done = 0;
        for (int i = 0; i < plans.length; i++) {
            for (int v = 0; v < vocabs.length; v++) {
                int vocab = vocabs[v];
                int branch = Math.min(plans[i][1], vocab);
                SamplingParams params = (i + v) % 4 == 3 ? SamplingParams.GREEDY : SamplingParams.temperature(v % 2 == 0 ? 1f : 0.7f);
                int requests = vocab > 41 ? 2 : (i + v) % 5;
                done += sequence(bench, dtype, requests, plans[i][0], branch, vocab, params, 0.6f + 0.2f * (i % 4)) ? 1 : 0;
            }
        }
        bench.require(done > 40, "only " + done + " sequences were compared to their end");
    }

    /** Expands level by level, selects, verifies; false if scores came so near to each other that the rest was left out. */
    private static boolean sequence(CheckBench bench, DType dtype, int requests, int depth, int branch, int vocab, SamplingParams params,
                                    float sharpness) {
        String what = requests + " requests, depth " + depth + ", branch " + branch + ", " + vocab + " tokens " + dtype + ", " + params;
        Fixture f = new Fixture(bench, requests);
        long seed = bench.random().nextLong();
        for (int level = 1; level <= depth; level++) {
            Twin logits = bench.normal(dtype, requests * (level == 1 ? 1 : branch) + 1, vocab, vocab % 2 == 0 ? 8 : 5, 2);
            f.expand(logits, level, branch, sharpness, params, seed);
            int from = level == 1 ? 0 : branch + (level - 2) * branch * branch;
            if (f.doubtful(from)) {
                return false;
            }
            f.trees.samePools(bench, what + ", level " + level);
            f.next.same(bench, what + ", level " + level);
        }
        if (f.doubtful(0)) {
            return false;
        }
        f.select();
        f.trees.sameNodes(bench, what);
        f.verify.same(bench, what);
        int rows = requests == 0 ? 0 : f.verify.firstRows.want(requests);
        f.verify(sampled(f, rows, vocab));
        f.pathLengths.same(bench, what + ": pathLengths");
        f.pathNodes.same(bench, what + ": pathNodes");
        return true;
    }

    /** For most rows the token of one of its children, if it has one. */
    private static Twin sampled(Fixture f, int rows, int vocab) {
        int[] tokens = f.bench.random().ints(rows + 1, 0, vocab).toArray();
        for (int r = 0; r < f.requests; r++) {
            int first = f.verify.firstRows.want(r);
            for (int node = 1; node < f.trees.nodeCounts.want(r); node++) {
                int parent = f.trees.nodeParents.want(r * (long) TreeBatch.MAX_NODES + node);
                if (f.bench.random().nextInt(3) > 0) {
                    tokens[first + parent] = f.trees.nodeTokens.want(r * (long) TreeBatch.MAX_NODES + node);
                }
            }
        }
        return f.bench.ints(tokens);
    }

    private static void wide(CheckBench bench, DType dtype) {
        int done = 0;
        done += sequence(bench, dtype, 1, 2, 4, 32_768, SamplingParams.temperature(1f), 1f) ? 1 : 0;
        done += sequence(bench, dtype, 2, 1, 8, 20_001, SamplingParams.temperature(1f), 0.8f) ? 1 : 0;
        done += sequence(bench, dtype, 2, 2, 3, 12_345, SamplingParams.GREEDY, 1f) ? 1 : 0;
        bench.require(done > 0, "no sequence was compared to its end");
    }

    /** Values equal by the thousand, and rows that are minus infinity but for a few tokens. */
    private static void degenerate(CheckBench bench) {
        for (SamplingParams params : new SamplingParams[] {SamplingParams.temperature(1f), SamplingParams.GREEDY}) {
            for (int vocab : new int[] {8, 41, 12_000}) {
                for (int kind = 0; kind < 3; kind++) {
                    int branch = 5;
                    Fixture f = new Fixture(bench, 2);
                    Twin logits = bench.poisoned(DType.F32, 2, vocab, 0);
                    for (int x = 0; x < vocab; x++) {
                        double sparse = x % 5 == 1 ? x % 7 : Double.NEGATIVE_INFINITY;
                        double z = kind == 0 ? 1e9 : kind == 1 ? Math.rint(bench.gaussian()) : sparse;
                        logits.set(0, x, z);
                        logits.set(1, x, z - 3);
                    }
                    logits.push();
                    f.expand(logits, 1, branch, 1f, params, 99);
                    String what = "kind " + kind + " of " + vocab + " tokens, " + params;
                    f.trees.poolTokens.same(bench, what);
                    f.trees.poolScores.near(bench, what, 1e-6, TreePair.SCORE_TOLERANCE);
                }
            }
        }
    }

    /** A request's tree has the same bits alone and among others. */
    private static void rowByRow(CheckBench bench) {
        int branch = 4;
        for (int vocab : new int[] {401, 9001}) {
            Fixture together = new Fixture(bench, 3);
            Twin logits = bench.normal(DType.F32, 3, vocab, 0, 2);
            SamplingParams params = SamplingParams.temperature(1f);
            together.expand(logits, 1, branch, 1f, params, 5);
            together.trees.poolScores.pull();
            together.trees.poolTokens.pull();
            for (int r = 0; r < 3; r++) {
                Fixture alone = new Fixture(bench, 1);
                alone.next.requestIds.setLong(0, 1000 + r * 77L);
                alone.rootPositions.setInt(0, together.rootPositions.want(r));
                alone.trees.levelBiases.setInt(0, together.trees.levelBiases.want(r * (long) TreeBatch.MAX_DEPTH));
                alone.push();
                alone.expandOnDevice(logits.device().rows(r, r + 1), 1, 1, branch, 1f, params, 1, 5);
                alone.trees.poolScores.pull();
                alone.trees.poolTokens.pull();
                for (int k = 0; k < branch; k++) {
                    bench.require(alone.trees.poolScores.got(k) == together.trees.poolScores.got(r * (long) TreeBatch.POOL + k)
                        && alone.trees.poolTokens.got(k) == together.trees.poolTokens.got(r * (long) TreeBatch.POOL + k),
                        "candidate " + k + " of request " + r + " differs alone");
                }
            }
        }
    }

    // --------------------------------------------------------------------------------------------------------------- select

    /** Pools of every size with equal scores among them, every budget. */
    private static void pools(CheckBench bench) {
        SplittableRandom random = bench.random();
        int requests = 66;
        for (int round = 0; round < 3; round++) {
            Fixture f = new Fixture(bench, requests);
            for (int r = 0; r < requests; r++) {
                f.trees.budgets.setInt(r, r == 1 ? 63 : r < 64 ? r : random.nextInt(64));
            }
            f.trees.budgets.push();
            fill(f, TreeBatch.POOL, round > 0);
            f.select();
            f.trees.sameNodes(bench, "pools, round " + round);
            f.verify.same(bench, "pools, round " + round);
        }
    }

    /** Random pools: the first is empty, the second full. With {@code ties} many scores are equal. */
    private static void fill(Fixture f, int most, boolean ties) {
        SplittableRandom random = f.bench.random();
        for (int r = 0; r < f.requests; r++) {
            int count = r == 0 ? 0 : r == 1 ? most : random.nextInt(most + 1);
            f.trees.poolCounts.setInt(r, count);
            for (int i = 0; i < count; i++) {
                long at = r * (long) TreeBatch.POOL + i;
                int parent = i < 8 ? -1 : random.nextInt(Math.max(1, i - 40), i);
                int depth = parent < 0 ? 1 : f.trees.poolDepths.want(r * (long) TreeBatch.POOL + parent) + 1;
                float base = parent < 0 ? 0f : f.trees.poolScores.wantFloat(r * (long) TreeBatch.POOL + parent);
                float step = ties ? random.nextInt(3) : (float) (3 * random.nextDouble());
                f.trees.poolTokens.setInt(at, random.nextInt(50));
                f.trees.poolParents.setInt(at, parent);
                f.trees.poolDepths.setInt(at, depth);
                // -0.0 and 0.0 are the same score.
                float zero = random.nextBoolean() ? 0f : -0f;
                f.trees.poolScores.setInt(at, Float.floatToRawIntBits(base - step == 0 ? zero : base - step));
            }
        }
        for (MirrorPair pair : List.of(f.trees.poolCounts, f.trees.poolTokens, f.trees.poolParents, f.trees.poolDepths,
            f.trees.poolScores)) {
            pair.push();
        }
    }

    /** One budget for all requests: none, all there is and more, with and without ties, with and without a bound for each. */
    private static void shared(CheckBench bench) {
        int[][] sizes = {{0, 8}, {1, 8}, {2, 20}, {3, TreeBatch.POOL}, {16, 14}, {33, 70}, {66, 30}};
        for (int[] size : sizes) {
            Fixture f = new Fixture(bench, size[0]);
            for (boolean ties : new boolean[] {false, true}) {
                fill(f, size[1], ties);
                int there = 0;
                for (int r = 0; r < size[0]; r++) {
                    there += f.trees.poolCounts.want(r);
                }
                for (int each : new int[] {0, 1, 5, TreeBatch.MAX_NODES - 1}) {
                    for (int total : new int[] {0, 1, size[0] * 4, there / 2, there, there + 7}) {
                        String what = size[0] + " requests, " + total + " of " + there + " candidates, " + each + " each";
                        f.share(total, each);
                        f.trees.budgets.same(bench, what);
                    }
                }
                f.share(size[0] * 3, TreeBatch.MAX_NODES - 1);
                f.select();
                f.trees.sameNodes(bench, size[0] + " requests with shared budgets");
                f.verify.same(bench, size[0] + " requests with shared budgets");
            }
        }
        Fixture many = new Fixture(bench, 700);
        fill(many, 6, true);
        many.share(1500, 3);
        many.trees.budgets.same(bench, "700 requests");
    }

    /** More requests than a block has threads: where their rows begin. */
    private static void manyRequests(CheckBench bench) {
        int requests = 700;
        Fixture f = new Fixture(bench, requests);
        for (int r = 0; r < requests; r++) {
            f.trees.poolCounts.setInt(r, r % 3);
            f.trees.budgets.setInt(r, r % 5);
            for (int i = 0; i < r % 3; i++) {
                long at = r * (long) TreeBatch.POOL + i;
                f.trees.poolTokens.setInt(at, i + r);
                f.trees.poolParents.setInt(at, i - 1);
                f.trees.poolDepths.setInt(at, i + 1);
                f.trees.poolScores.setInt(at, Float.floatToRawIntBits(-i));
            }
        }
        for (MirrorPair pair : List.of(f.trees.poolCounts, f.trees.budgets, f.trees.poolTokens, f.trees.poolParents, f.trees.poolDepths,
            f.trees.poolScores)) {
            pair.push();
        }
        f.select();
        f.trees.sameNodes(bench, "many requests");
        f.verify.same(bench, "many requests");
    }

    // --------------------------------------------------------------------------------------------------------------- verify

    /** Every tree of up to five nodes, with few tokens, so that siblings share some. */
    private static void smallTrees(CheckBench bench) {
        List<int[]> trees = new ArrayList<>();
        for (int nodes = 1; nodes <= 5; nodes++) {
            grow(new int[nodes], 1, trees);
        }
        List<int[]> repeated = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            repeated.addAll(trees);
        }
        walk(bench, repeated, 2);
    }

    private static void grow(int[] parents, int node, List<int[]> trees) {
        if (node == 1) {
            parents[0] = -1;
        }
        if (node == parents.length) {
            trees.add(parents.clone());
            return;
        }
        for (int parent = 0; parent < node; parent++) {
            parents[node] = parent;
            grow(parents, node + 1, trees);
        }
    }

    private static void largeTrees(CheckBench bench) {
        List<int[]> trees = new ArrayList<>();
        for (int t = 0; t < 41; t++) {
            int[] parents = new int[t == 0 ? 1 : bench.random().nextInt(33, TreeBatch.MAX_NODES + 1)];
            for (int i = 0; i < parents.length; i++) {
                // A chain, bushes, and trees between.
                parents[i] = t == 1 ? i - 1 : i == 0 ? -1 : bench.random().nextInt(Math.max(0, i - 1 - t), i);
            }
            trees.add(parents);
        }
        walk(bench, trees, 3);
    }

    private static void walk(CheckBench bench, List<int[]> trees, int alphabet) {
        int requests = trees.size();
        Fixture f = new Fixture(bench, requests);
        int row = 2;
        for (int r = 0; r < requests; r++) {
            int[] parents = trees.get(r);
            f.verify.firstRows.setInt(r, row);
            row += parents.length + r % 2;
            f.trees.nodeCounts.setInt(r, parents.length);
            for (int i = 0; i < parents.length; i++) {
                f.trees.nodeParents.setInt(r * (long) TreeBatch.MAX_NODES + i, parents[i]);
                f.trees.nodeTokens.setInt(r * (long) TreeBatch.MAX_NODES + i, bench.random().nextInt(alphabet));
            }
        }
        f.verify.firstRows.setInt(requests, row);
        for (MirrorPair pair : List.of(f.verify.firstRows, f.trees.nodeCounts, f.trees.nodeParents, f.trees.nodeTokens)) {
            pair.push();
        }
        f.verify(sampled(f, row, alphabet));
        f.pathLengths.same(bench, "pathLengths");
        f.pathNodes.same(bench, "pathNodes");
    }

    // --------------------------------------------------------------------------------------------------------------- faults

    private static void faults(CheckBench bench) {
        Twin logits = bench.normal(DType.F32, 2, 41, 0, 1);
        SamplingParams params = SamplingParams.temperature(1f);
        Fixture f = new Fixture(bench, 2);
        f.trees.budgets.setInt(0, 4);
        f.trees.budgets.setInt(1, 4);
        f.trees.budgets.push();
        f.expand(logits, 1, 4, 1f, params, 1);
        f.table.setInt(f.verify.sequences.want(1) * PAGES + f.verify.committed.want(1) / PAGE, -1);
        f.table.setInt(f.verify.sequences.want(1) * PAGES + f.verify.committed.want(1) / PAGE + 1, -1);
        f.table.push();
        fault(bench, "a place without a page", f::select, () -> f.selectOnDevice(2));
        Fixture g = new Fixture(bench, 2);
        g.expand(logits, 1, 4, 1f, params, 1);
        for (int wrong : new int[] {-1, TreeBatch.POOL + 1}) {
            g.trees.poolCounts.setInt(0, 4);
            g.trees.poolCounts.setInt(1, wrong);
            g.trees.poolCounts.push();
            fault(bench, "a pool of " + wrong, g::select, () -> g.selectOnDevice(2));
            fault(bench, "a pool of " + wrong + " to share", () -> g.share(4, 4), () -> g.shareOnDevice(2, 4, 4));
        }
        Fixture h = new Fixture(bench, 1);
        h.verify.firstRows.setInt(0, 0);
        h.verify.firstRows.setInt(1, 3);
        for (int wrong : new int[] {0, TreeBatch.MAX_NODES + 1, 4}) {
            h.trees.nodeCounts.setInt(0, wrong);
            h.trees.nodeCounts.push();
            h.verify.firstRows.push();
            Twin sampled = bench.ints(new int[4]);
            fault(bench, wrong + " nodes in 3 rows", () -> h.verify(sampled), () -> h.verifyOnDevice(sampled.device(), 1));
        }
    }

    /** The CPU refuses at once, the device when it is waited for; then it works on. */
    private static void fault(CheckBench bench, String what, Runnable both, Runnable device) {
        bench.refuses(what + " on the CPU", IllegalArgumentException.class, both);
        bench.refuses(what, IllegalArgumentException.class, () -> {
            device.run();
            bench.device().synchronize();
        });
        bench.device().synchronize();
    }

    private static void refusals(CheckBench bench) {
        Twin logits = bench.normal(DType.F32, 16, 41, 0, 1);
        Twin narrow = bench.normal(DType.F32, 16, 3, 0, 1);
        Fixture f = new Fixture(bench, 2);
        SamplingParams params = SamplingParams.temperature(1f);
        int[][] wrong = {{1, 0, 4}, {1, 9, 4}, {4, 2, 3}, {1, 1, 0}, {1, 1, 9}, {4, 1, 4}};
        Class<IllegalArgumentException> argument = IllegalArgumentException.class;
        for (int[] numbers : wrong) {
            bench.refuses("rows, level, branch " + Arrays.toString(numbers), argument,
                () -> f.expandOnDevice(logits.device(), numbers[0], numbers[1], numbers[2], 1f, params, 2, 1));
        }
        bench.refuses("more branches than tokens", argument, () -> f.expandOnDevice(narrow.device(), 1, 1, 4, 1f, params, 2, 1));
        bench.refuses("sharpness 0", argument, () -> f.expandOnDevice(logits.device(), 1, 1, 4, 0f, params, 2, 1));
        bench.refuses("fewer logits than requests", argument,
            () -> f.expandOnDevice(logits.device().rows(0, 1), 1, 1, 4, 1f, params, 2, 1));
        bench.refuses("more requests than trees", argument, () -> f.expandOnDevice(logits.device(), 1, 1, 4, 1f, params, 4, 1));
        bench.refuses("more requests than trees to share among", argument, () -> f.shareOnDevice(4, 4, 4));
        bench.refuses("a negative total", argument, () -> f.shareOnDevice(2, -1, 4));
        bench.refuses("more nodes than a tree has", argument, () -> f.shareOnDevice(2, 4, TreeBatch.MAX_NODES));
        bench.refuses("more requests than trees to select", argument, () -> f.selectOnDevice(4));
        bench.refuses("more requests than trees to verify", argument, () -> f.verifyOnDevice(bench.ints(1, 2, 3, 4).device(), 4));
        bench.refuses("sampled tokens as floats", argument, () -> f.verifyOnDevice(logits.device().rows(0, 1), 2));
    }
}

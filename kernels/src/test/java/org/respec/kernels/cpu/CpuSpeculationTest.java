package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Trees grown, cut and walked by the operators against trees of objects. */
class CpuSpeculationTest {
    private static final int REQUESTS = 3;
    private static final int VOCAB = 41;
    private static final int[] COMMITTED = {5, 0, 17};
    private static final Ops OPS = SharedOps.on(2);

    private static int get(HostMirror mirror, long row, long col) {
        return mirror.host().host().getAtIndex(ValueLayout.JAVA_INT, row * mirror.host().cols() + col);
    }

    private static long getLong(HostMirror mirror, long row, long col) {
        return mirror.host().host().getAtIndex(ValueLayout.JAVA_LONG, row * mirror.host().cols() + col);
    }

    private static void put(HostMirror mirror, long index, int value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_INT, index, value);
    }

    /** A node of the reference tree. */
    private static final class Node {
        private Node parent;
        private int token;
        private int depth;
        private double score;
        private final List<Integer> inFlight = new ArrayList<>();
    }

    private static KvStore store(TestTensors t) {
        KvLayout layout = new KvLayout(DType.F32, 1, 1, 2, 4, REQUESTS * 24);
        HostMirror table = t.arena().mirror(DType.I32, REQUESTS, 24);
        for (int i = 0; i < REQUESTS * 24; i++) {
            put(table, i, REQUESTS * 24 - 1 - i);
        }
        return new KvStore(layout, t.poisoned(layout.rows(), layout.cols()), table);
    }

    private static int slot(KvStore kv, int request, int place) {
        return get(kv.pageTable(), request, place / 4) * 4 + place % 4;
    }

    private static RowBatch batch(TestTensors t, int rows) {
        RowBatch batch = RowBatch.allocate(t.arena(), rows, REQUESTS);
        for (int r = 0; r < REQUESTS; r++) {
            put(batch.sequences(), r, r);
            put(batch.committed(), r, COMMITTED[r]);
            batch.requestIds().host().host().setAtIndex(ValueLayout.JAVA_LONG, r, 100 + r);
        }
        return batch;
    }

    @ParameterizedTest
    @CsvSource({"1,1,1,1,1", "4,1,4,1,1", "1,4,3,0.7,1", "3,2,6,1,1", "4,4,16,1,1.5", "8,8,63,1.2,0.7", "5,3,12,0,1"})
    void treesAreWhatTheyShouldBe(int depth, int branch, int budget, float temperature, float sharpness) {
        SamplingParams params = SamplingParams.temperature(temperature);
        try (TestTensors t = new TestTensors(depth * 100L + branch)) {
            KvStore kv = store(t);
            TreeBatch trees = TreeBatch.allocate(t.arena(), REQUESTS);
            RowBatch next = batch(t, REQUESTS * TreeBatch.MAX_BRANCH);
            HostMirror rootTokens = t.arena().mirror(DType.I32, 1, REQUESTS);
            HostMirror rootPositions = t.arena().mirror(DType.I32, 1, REQUESTS);
            List<List<Node>> pools = new ArrayList<>();
            List<List<Node>> frontiers = new ArrayList<>();
            for (int r = 0; r < REQUESTS; r++) {
                put(rootTokens, r, 7 + r);
                put(rootPositions, r, COMMITTED[r]);
                put(trees.budgets(), r, r == 1 ? Math.max(0, budget - 1) : budget);
                for (int level = 1; level <= TreeBatch.MAX_DEPTH; level++) {
                    trees.levelBiases().host().host().setAtIndex(ValueLayout.JAVA_FLOAT, (long) r * TreeBatch.MAX_DEPTH + level - 1,
                        (float) bias(r, level));
                }
                pools.add(new ArrayList<>());
                frontiers.add(new ArrayList<>());
            }
            for (int level = 1; level <= depth; level++) {
                int perRequest = level == 1 ? 1 : branch;
                Tensor logits = t.normal(REQUESTS * perRequest, VOCAB, 3, 2);
                OPS.draftExpand(logits, perRequest, level, branch, sharpness, params, 6, rootPositions, trees, REQUESTS, next, kv);
                for (int r = 0; r < REQUESTS; r++) {
                    grow(pools.get(r), frontiers.get(r), logits, r, perRequest, level, branch, sharpness, temperature);
                    assertEquals(pools.get(r).size(), get(trees.poolCounts(), 0, r));
                    for (int f = 0; f < branch; f++) {
                        Node node = frontiers.get(r).get(f);
                        int number = (level - 1) * branch + f;
                        node.inFlight.add(number);
                        for (Node up = node.parent; up != null; up = up.parent) {
                            node.inFlight.add(up.inFlight.getFirst());
                        }
                        int row = r * branch + f;
                        assertEquals(node.token, get(next.tokens(), 0, row), "draft row " + row + " at level " + level);
                        assertEquals(COMMITTED[r] - 1 + level, get(next.positions(), 0, row));
                        assertEquals(slot(kv, r, COMMITTED[r] + number), get(next.slots(), 0, row));
                        assertEquals(COMMITTED[r], get(next.contexts(), 0, row));
                        assertEquals(node.inFlight.stream().mapToLong(i -> 1L << i).sum(), getLong(next.masks(), 0, row));
                        assertEquals(r, get(next.rowRequests(), 0, row));
                    }
                }
            }
            RowBatch verify = batch(t, REQUESTS * TreeBatch.MAX_NODES);
            OPS.draftSelect(rootTokens, rootPositions, trees, REQUESTS, verify, kv);
            int row = 0;
            List<List<Node>> kept = new ArrayList<>();
            for (int r = 0; r < REQUESTS; r++) {
                List<Node> best = pools.get(r).stream().sorted(Comparator.comparingDouble((Node n) -> -n.score))
                    .limit(get(trees.budgets(), 0, r)).toList();
                List<Node> nodes = pools.get(r).stream().filter(best::contains).toList();
                kept.add(nodes);
                assertEquals(row, get(verify.firstRows(), 0, r));
                assertEquals(nodes.size() + 1, get(trees.nodeCounts(), 0, r));
                for (int n = 0; n <= nodes.size(); n++, row++) {
                    Node node = n == 0 ? null : nodes.get(n - 1);
                    long mask = 1L << n;
                    for (Node up = node == null ? null : node.parent; up != null; up = up.parent) {
                        assertTrue(nodes.contains(up), "a kept node's parent is kept");
                        mask |= 1L << (nodes.indexOf(up) + 1);
                    }
                    mask |= 1;
                    assertEquals(mask, getLong(verify.masks(), 0, row), "request " + r + ", node " + n);
                    assertEquals(node == null ? 7 + r : node.token, get(verify.tokens(), 0, row));
                    assertEquals(COMMITTED[r] + (node == null ? 0 : node.depth), get(verify.positions(), 0, row));
                    assertEquals(slot(kv, r, COMMITTED[r] + n), get(verify.slots(), 0, row));
                    assertEquals(COMMITTED[r], get(verify.contexts(), 0, row));
                }
            }
            assertEquals(row, get(verify.firstRows(), 0, REQUESTS));
            walk(t, verify, trees, kept, row);
            t.checkGuards();
        }
    }

    /** None for the first request; chances of the others are worth less level by level, or more than they say. */
    private static double bias(int r, int level) {
        return r == 0 ? 0 : r == 1 ? -0.25 * level : 0.25;
    }

    private static void grow(List<Node> pool, List<Node> frontier, Tensor logits, int r, int perRequest, int level, int branch,
                             double sharpness, double temperature) {
        List<Node> named = new ArrayList<>();
        for (int f = 0; f < perRequest; f++) {
            int row = r * perRequest + f;
            double[] scores = new double[VOCAB];
            double max = Double.NEGATIVE_INFINITY;
            for (int x = 0; x < VOCAB; x++) {
                scores[x] = TestTensors.get(logits, row, x) / (temperature > 0 ? temperature : 1)
                    + (temperature > 0 ? NoiseField.at(6, 100 + r, COMMITTED[r] + level, x) : 0);
                max = Math.max(max, sharpness * scores[x]);
            }
            double sum = 0;
            for (double score : scores) {
                sum += Math.exp(sharpness * score - max);
            }
            int[] order = IntStream.range(0, VOCAB).boxed().sorted(Comparator.comparingDouble((Integer x) -> -scores[x])).mapToInt(i -> i)
                .toArray();
            for (int k = 0; k < branch; k++) {
                Node node = new Node();
                node.parent = level == 1 ? null : frontier.get(f);
                node.token = order[k];
                node.depth = level;
                node.score = (node.parent == null ? 0 : node.parent.score)
                    + Math.min(0, sharpness * scores[order[k]] - max - Math.log(sum) + bias(r, level));
                named.add(node);
            }
        }
        pool.addAll(named);
        frontier.clear();
        named.stream().sorted(Comparator.comparingDouble((Node n) -> -n.score)).limit(branch).forEach(frontier::add);
    }

    /** Samples that follow the tree half of the time, so that paths of all lengths occur. */
    private static void walk(TestTensors t, RowBatch verify, TreeBatch trees, List<List<Node>> kept, int rows) {
        VerifyResult result = VerifyResult.allocate(t.arena(), REQUESTS);
        for (int trial = 0; trial < 200; trial++) {
            int[] samples = t.random().ints(rows, 0, VOCAB).toArray();
            int row = 0;
            int[][] paths = new int[REQUESTS][];
            for (int r = 0; r < REQUESTS; r++) {
                List<Node> nodes = kept.get(r);
                for (int n = 0; n <= nodes.size(); n++) {
                    Node node = n == 0 ? null : nodes.get(n - 1);
                    List<Node> children = nodes.stream().filter(c -> c.parent == node).toList();
                    if (!children.isEmpty() && t.random().nextInt(3) > 0) {
                        samples[row + n] = children.get(t.random().nextInt(children.size())).token;
                    }
                }
                List<Integer> path = new ArrayList<>(List.of(0));
                Node at = null;
                while (true) {
                    int wanted = samples[row + path.getLast()];
                    Node parent = at;
                    Node child = nodes.stream().filter(c -> c.parent == parent && c.token == wanted).findFirst().orElse(null);
                    if (child == null) {
                        break;
                    }
                    path.add(nodes.indexOf(child) + 1);
                    at = child;
                }
                paths[r] = path.stream().mapToInt(Integer::intValue).toArray();
                row += nodes.size() + 1;
            }
            OPS.verifyTrees(verify, t.ints(samples), trees, REQUESTS, result);
            for (int r = 0; r < REQUESTS; r++) {
                assertEquals(paths[r].length, get(result.pathLengths(), 0, r), "trial " + trial + ", request " + r);
                for (int i = 0; i < paths[r].length; i++) {
                    assertEquals(paths[r][i], get(result.pathNodes(), r, i), "trial " + trial + ", request " + r);
                }
            }
        }
    }

    /** A candidate in a pool of many requests. */
    private record Candidate(int request, int place, float score) {
    }

    @Test
    void budgetsGoToTheBestOfAllRequests() {
        SplittableRandom random = new SplittableRandom(8);
        for (int trial = 0; trial < 300; trial++) {
            int requests = random.nextInt(1, 9);
            int each = random.nextInt(TreeBatch.MAX_NODES);
            try (TestTensors t = new TestTensors(trial)) {
                TreeBatch trees = TreeBatch.allocate(t.arena(), requests);
                List<Candidate> all = new ArrayList<>();
                for (int r = 0; r < requests; r++) {
                    int count = random.nextInt(random.nextInt(5) == 0 ? TreeBatch.POOL + 1 : 20);
                    put(trees.poolCounts(), r, count);
                    List<Candidate> own = new ArrayList<>();
                    for (int i = 0; i < count; i++) {
                        // Halves, so that many are equal; now and then a zero of either sign.
                        float score = trial % 2 == 0 ? -random.nextInt(12) / 2f : (float) -random.nextDouble();
                        score = score == 0 && random.nextBoolean() ? 0f : score;
                        trees.poolScores().host().host().setAtIndex(ValueLayout.JAVA_FLOAT, (long) r * TreeBatch.POOL + i, score);
                        own.add(new Candidate(r, i, score + 0f));
                    }
                    own.sort(Comparator.comparingDouble(c -> -c.score));
                    all.addAll(own.subList(0, Math.min(each, own.size())));
                }
                int total = random.nextInt(all.size() + 4);
                all.sort(Comparator.comparingDouble(c -> -c.score));
                int[] want = new int[requests];
                all.subList(0, Math.min(total, all.size())).forEach(c -> want[c.request]++);
                OPS.draftBudgets(trees, requests, total, each);
                for (int r = 0; r < requests; r++) {
                    assertEquals(want[r], get(trees.budgets(), 0, r), "trial " + trial + ", request " + r + ", " + total + " of "
                        + all.size() + ", " + each + " each");
                }
            }
        }
    }

    @Test
    void badBudgetsAreRefused() {
        try (TestTensors t = new TestTensors(3)) {
            TreeBatch trees = TreeBatch.allocate(t.arena(), REQUESTS);
            for (int[] bad : new int[][] {{REQUESTS, -1, 3}, {REQUESTS, 4, -1}, {REQUESTS, 4, 64}, {REQUESTS + 1, 4, 4}, {-1, 4, 4}}) {
                assertThrows(IllegalArgumentException.class, () -> OPS.draftBudgets(trees, bad[0], bad[1], bad[2]));
            }
            put(trees.poolCounts(), 1, TreeBatch.POOL + 1);
            assertThrows(IllegalArgumentException.class, () -> OPS.draftBudgets(trees, REQUESTS, 4, 4));
        }
    }

    @Test
    void badPlansAreRefused() {
        try (TestTensors t = new TestTensors(3)) {
            KvStore kv = store(t);
            TreeBatch trees = TreeBatch.allocate(t.arena(), REQUESTS);
            RowBatch next = batch(t, REQUESTS * TreeBatch.MAX_BRANCH);
            HostMirror roots = t.arena().mirror(DType.I32, 1, REQUESTS);
            Tensor logits = t.normal(REQUESTS, VOCAB);
            SamplingParams hot = SamplingParams.temperature(1f);
            for (int[] bad : new int[][] {{0, 1}, {9, 1}, {1, 0}, {1, 9}, {2, 2}}) {
                assertThrows(IllegalArgumentException.class,
                    () -> OPS.draftExpand(logits, 1, bad[0], bad[1], 1f, hot, 6, roots, trees, REQUESTS, next, kv), bad[0] + "x" + bad[1]);
            }
            OPS.draftExpand(logits, 1, 1, 2, 1f, hot, 6, roots, trees, REQUESTS, next, kv);
            put(trees.budgets(), 0, 64);
            put(trees.poolCounts(), 0, 400);
            assertThrows(IllegalArgumentException.class, () -> OPS.draftSelect(roots, roots, trees, REQUESTS, batch(t, 200), kv));
        }
    }
}

package org.respec.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/**
 * Coupled trees of every shape to 8 nodes draw the actor's distribution: token for token what plain sampling draws from the same noise,
 * through the real operators, and, by exact enumeration of the race of noises, with the actor's probabilities.
 */
class CoupledTreesTest {
    private static final int MOST_NODES = 8;
    private static final int REQUESTS = 64;
    private static final long SEED = 23;
    private static final int FIRST_REQUEST = 500;
    private static final SamplingParams HOT = SamplingParams.temperature(1f);
    private static Ops ops;
    private static TensorArena arena;
    private static RowBatch batch;
    private static TreeBatch trees;
    private static VerifyResult result;
    private static HostMirror sampled;
    private static HostMirror logProbs;

    @BeforeAll
    static void open() {
        ops = Backends.open("cpu", 2);
        arena = ops.arena("coupled trees");
        batch = RowBatch.allocate(arena, REQUESTS * MOST_NODES, REQUESTS);
        trees = TreeBatch.allocate(arena, REQUESTS);
        result = VerifyResult.allocate(arena, REQUESTS);
        sampled = arena.mirror(DType.I32, 1, REQUESTS * MOST_NODES);
        logProbs = arena.mirror(DType.F32, 1, REQUESTS * MOST_NODES);
    }

    @AfterAll
    static void close() {
        arena.close();
        ops.close();
    }

    private static void put(HostMirror mirror, long row, long col, int value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_INT, row * mirror.host().cols() + col, value);
    }

    private static int get(HostMirror mirror, long row, long col) {
        return mirror.host().host().getAtIndex(ValueLayout.JAVA_INT, row * mirror.host().cols() + col);
    }

    private static List<TreeShape> shapes(int vocab) {
        return IntStream.rangeClosed(1, MOST_NODES).boxed().flatMap(nodes -> TreeShape.all(nodes).stream())
            .filter(shape -> shape.widest() <= vocab).toList();
    }

    @Test
    void shapesAreAllThereAre() {
        // Catalan numbers.
        int[] known = {1, 1, 2, 5, 14, 42, 132, 429};
        for (int nodes = 1; nodes <= MOST_NODES; nodes++) {
            List<TreeShape> shapes = TreeShape.all(nodes);
            assertEquals(known[nodes - 1], shapes.size());
            assertEquals(shapes.size(), shapes.stream().map(shape -> Arrays.toString(shape.parents())).distinct().count());
        }
    }

    // ------------------------------------------------------------------------------------------- token for token, real operators

    /** What hangs in a tree: the drafter's choices by the shared noise, or any tokens at all. */
    private interface Children {
        int[] of(int request, int[] prefix, int depth);
    }

    private static int[] coupled(PrefixModel drafter, int request, int[] prefix, int depth) {
        double[] q = drafter.distribution(prefix, depth);
        double[] scores = new double[q.length];
        for (int x = 0; x < q.length; x++) {
            scores[x] = Math.log(q[x]) + NoiseField.at(SEED, FIRST_REQUEST + request, depth + 1, x);
        }
        return Distributions.largest(scores, q.length);
    }

    private static int[] anything(int vocab, int request, int[] prefix, int depth) {
        SplittableRandom random = new SplittableRandom(Arrays.hashCode(Arrays.copyOf(prefix, depth)) * 31L + request);
        int[] order = IntStream.range(0, vocab).toArray();
        for (int i = vocab - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int token = order[i];
            order[i] = order[j];
            order[j] = token;
        }
        return order;
    }

    /** Samples {@code rows} rows whose prefixes were given: the token after a prefix of n tokens has position n + 1. */
    private static void sample(PrefixModel actor, int[][] prefixes, int[] depths, int[] requests, int rows) {
        Tensor logits;
        try (TensorArena own = ops.arena("logits")) {
            HostMirror mirror = own.mirror(DType.F32, rows, actor.vocab());
            for (int row = 0; row < rows; row++) {
                float[] values = actor.logits(prefixes[row], depths[row]);
                for (int x = 0; x < values.length; x++) {
                    mirror.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, (long) row * values.length + x, values[x]);
                }
                put(batch.positions(), 0, row, depths[row]);
                put(batch.rowRequests(), 0, row, requests[row]);
            }
            for (int r = 0; r < REQUESTS; r++) {
                batch.requestIds().host().host().setAtIndex(ValueLayout.JAVA_LONG, r, FIRST_REQUEST + r);
            }
            ops.push(mirror, (long) rows * actor.vocab());
            ops.push(batch.positions(), rows);
            ops.push(batch.rowRequests(), rows);
            ops.push(batch.requestIds(), REQUESTS);
            logits = mirror.device();
            ops.sample(logits, batch, HOT, SEED, sampled.device(), logProbs.device(), rows);
            ops.pull(sampled, rows);
        }
    }

    /** Plain decoding, one row a request and step. */
    private static int[][] plain(PrefixModel actor, int length) {
        int[][] drawn = new int[REQUESTS][length];
        int[] depths = new int[REQUESTS];
        int[] requests = IntStream.range(0, REQUESTS).toArray();
        for (int t = 0; t < length; t++) {
            Arrays.fill(depths, t);
            sample(actor, drawn, depths, requests, REQUESTS);
            for (int r = 0; r < REQUESTS; r++) {
                drawn[r][t] = get(sampled, 0, r);
            }
        }
        return drawn;
    }

    /** One step with a tree of that shape in every request; returns for each the node where its walk ended. */
    private static int[] step(PrefixModel actor, TreeShape shape, Children children, int[][] plain) {
        int nodes = shape.nodes();
        int[][] prefixes = new int[REQUESTS * nodes][];
        int[] depths = new int[prefixes.length];
        int[] requests = new int[prefixes.length];
        for (int r = 0; r < REQUESTS; r++) {
            put(batch.firstRows(), 0, r, r * nodes);
            put(trees.nodeCounts(), 0, r, nodes);
            for (int node = 0; node < nodes; node++) {
                int row = r * nodes + node;
                int parent = shape.parents()[node];
                requests[row] = r;
                depths[row] = shape.depth(node);
                prefixes[row] = parent < 0 ? new int[MOST_NODES] : prefixes[r * nodes + parent].clone();
                if (parent >= 0) {
                    int[] order = children.of(r, prefixes[r * nodes + parent], depths[row] - 1);
                    int token = order[shape.children(parent).indexOf(node)];
                    prefixes[row][depths[row] - 1] = token;
                    put(trees.nodeTokens(), r, node, token);
                }
                put(trees.nodeParents(), r, node, parent);
            }
        }
        put(batch.firstRows(), 0, REQUESTS, REQUESTS * nodes);
        ops.push(batch.firstRows(), REQUESTS + 1L);
        ops.push(trees.nodeCounts(), REQUESTS);
        ops.push(trees.nodeTokens(), (long) REQUESTS * TreeBatch.MAX_NODES);
        ops.push(trees.nodeParents(), (long) REQUESTS * TreeBatch.MAX_NODES);
        sample(actor, prefixes, depths, requests, REQUESTS * nodes);
        ops.verifyTrees(batch, sampled.device(), trees, REQUESTS, result);
        ops.pull(result.pathLengths(), REQUESTS);
        ops.pull(result.pathNodes(), (long) REQUESTS * TreeBatch.MAX_NODES);
        int[] ends = new int[REQUESTS];
        for (int r = 0; r < REQUESTS; r++) {
            int length = get(result.pathLengths(), 0, r);
            int[] drawn = new int[length];
            for (int t = 0; t < length; t++) {
                drawn[t] = get(sampled, 0, r * nodes + get(result.pathNodes(), r, t));
            }
            assertArrayEquals(Arrays.copyOf(plain[r], length), drawn, "request " + r + ", tree " + Arrays.toString(shape.parents()));
            ends[r] = get(result.pathNodes(), r, length - 1);
        }
        return ends;
    }

    @Test
    void everyTreeGivesWhatPlainSamplingGives() {
        int walks = 0;
        int longest = 0;
        for (int vocab : new int[] {1, 2, 3, 5}) {
            PrefixModel actor = new PrefixModel(vocab, vocab, 2);
            PrefixModel drafter = new PrefixModel(vocab + 100, vocab, 2);
            int[][] plain = plain(actor, MOST_NODES);
            for (TreeShape shape : shapes(vocab)) {
                for (Children children : List.<Children>of((r, prefix, depth) -> coupled(drafter, r, prefix, depth),
                    (r, prefix, depth) -> anything(vocab, r, prefix, depth))) {
                    for (int end : step(actor, shape, children, plain)) {
                        longest = Math.max(longest, shape.depth(end));
                        walks++;
                    }
                }
            }
        }
        System.out.println(walks + " walks through trees of every shape to " + MOST_NODES + " nodes; the longest accepted " + longest);
        assertEquals(MOST_NODES - 1, longest, "some walk went down the longest chain");
    }

    // ------------------------------------------------------------------------------------------------- probabilities, by enumeration

    @Test
    void theRaceIsTheActorsDistributionAndTheKnownOverlap() {
        for (int vocab = 1; vocab <= 5; vocab++) {
            for (int trial = 0; trial < 50; trial++) {
                double[] p = new PrefixModel(trial, vocab, 3).distribution(new int[0], 0);
                double[] q = trial == 0 ? p : new PrefixModel(trial + 1000, vocab, 3).distribution(new int[0], 0);
                double[][] law = CoupledRace.law(p, q);
                double first = 0;
                for (int x = 0; x < vocab; x++) {
                    assertEquals(p[x], Distributions.sum(law[x]), 1e-12);
                    // Chance that both argmaxes are x under shared noise, in closed form.
                    double larger = 0;
                    for (int y = 0; y < vocab; y++) {
                        larger += Math.max(p[y] / p[x], q[y] / q[x]);
                    }
                    assertEquals(1 / larger, law[x][0], 1e-12);
                    first += law[x][0];
                }
                assertTrue(first <= Distributions.overlap(p, q) + 1e-12, "no coupling of two draws beats the overlap");
                assertTrue(trial > 0 || first > 1 - 1e-12, "equal distributions agree always");
            }
        }
    }

    /** Law of a step and what follows it: chance of each response of {@code depth} tokens, and of each node to be the walk's end. */
    private record TreeLaw(double[] responses, double[] ends) {
        static TreeLaw of(TreeShape shape, PrefixModel actor, PrefixModel drafter, int depth) {
            TreeLaw law = new TreeLaw(new double[(int) Math.pow(actor.vocab(), depth)], new double[shape.nodes()]);
            law.walk(shape, actor, drafter, depth, 0, new int[depth], 0, 1);
            return law;
        }

        private void walk(TreeShape shape, PrefixModel actor, PrefixModel drafter, int depth, int node, int[] prefix, int length,
                          double chance) {
            double[][] race = CoupledRace.law(actor.distribution(prefix, length), drafter.distribution(prefix, length));
            List<Integer> children = shape.children(node);
            for (int x = 0; x < race.length; x++) {
                double bonus = 0;
                for (int rank = 0; rank < race.length; rank++) {
                    if (rank >= children.size()) {
                        bonus += race[x][rank];
                    } else if (length + 1 < depth) {
                        prefix[length] = x;
                        walk(shape, actor, drafter, depth, children.get(rank), prefix, length + 1, chance * race[x][rank]);
                    } else {
                        // The last token that is looked at; the walk goes on below it.
                        ends[children.get(rank)] += chance * race[x][rank];
                        prefix[length] = x;
                        responses[code(prefix, race.length)] += chance * race[x][rank];
                    }
                }
                ends[node] += chance * bonus;
                prefix[length] = x;
                plain(actor, depth, prefix, length + 1, chance * bonus);
            }
        }

        /** After a bonus token the rest of the response comes in later steps, from the actor. */
        private void plain(PrefixModel actor, int depth, int[] prefix, int length, double chance) {
            if (length == depth) {
                responses[code(prefix, actor.vocab())] += chance;
                return;
            }
            double[] p = actor.distribution(prefix, length);
            for (int x = 0; x < p.length; x++) {
                prefix[length] = x;
                plain(actor, depth, prefix, length + 1, chance * p[x]);
            }
        }

        static int code(int[] prefix, int vocab) {
            int code = 0;
            for (int token : prefix) {
                code = code * vocab + token;
            }
            return code;
        }
    }

    private static double[] responses(PrefixModel actor, int depth) {
        TreeLaw law = new TreeLaw(new double[(int) Math.pow(actor.vocab(), depth)], new double[1]);
        law.plain(actor, depth, new int[depth], 0, 1);
        return law.responses();
    }

    @Test
    void everyTreeDrawsTheActorsDistributionByEnumeration() {
        int checked = 0;
        for (int vocab = 1; vocab <= 5; vocab++) {
            PrefixModel actor = new PrefixModel(vocab + 50, vocab, 2);
            PrefixModel drafter = new PrefixModel(vocab + 60, vocab, 2);
            for (int depth = 1; depth <= 3; depth++) {
                double[] want = responses(actor, depth);
                assertEquals(1, Distributions.sum(want), 1e-12);
                for (TreeShape shape : shapes(vocab)) {
                    if (shape.depth() <= depth) {
                        TreeLaw law = TreeLaw.of(shape, actor, drafter, depth);
                        assertArrayEquals(want, law.responses(), 1e-12,
                            "tree " + Arrays.toString(shape.parents()) + " over " + vocab + " tokens");
                        assertEquals(1, Distributions.sum(law.ends()), 1e-12);
                        checked++;
                    }
                }
            }
        }
        System.out.println(checked + " trees enumerated");
    }

    /** The enumerated law is that of the real operators: how far their walks come, over trees of all shapes to depth 3. */
    @Test
    void realWalksEndWhereTheEnumerationSays() {
        int vocab = 4;
        ChiSquare test = new ChiSquare();
        for (TreeShape shape : shapes(vocab)) {
            if (shape.depth() > 3 || shape.nodes() < 4) {
                continue;
            }
            PrefixModel actor = new PrefixModel(Arrays.hashCode(shape.parents()), vocab, 2);
            PrefixModel drafter = new PrefixModel(Arrays.hashCode(shape.parents()) + 1L, vocab, 2);
            double[] chances = TreeLaw.of(shape, actor, drafter, shape.depth() + 1).ends();
            long[] counts = new long[shape.nodes()];
            for (int end : step(actor, shape, (r, prefix, depth) -> coupled(drafter, r, prefix, depth), plain(actor, shape.depth() + 1))) {
                counts[end]++;
            }
            test.add(counts, chances);
        }
        test.check("ends of coupled walks");
    }
}

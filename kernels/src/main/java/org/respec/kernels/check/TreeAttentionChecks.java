package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.check.AttentionScene.Request;
import org.respec.kernels.check.AttentionScene.Row;
import org.respec.kernels.check.AttentionScene.Types;

/** Checks of attention over the paged cache: decoding, trees, prefill, all at once, and that a row's bits do not tell them apart. */
final class TreeAttentionChecks {
    private TreeAttentionChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType query : List.of(DType.F32, DType.BF16)) {
            for (DType cache : List.of(DType.F32, DType.BF16)) {
                String types = " " + name(query) + " over " + name(cache);
                checks.add(new OperatorCheck("treeAttention head sizes" + types, bench -> headSizes(bench, query, cache)));
                checks.add(new OperatorCheck("treeAttention mixed batches" + types, bench -> mixedBatches(bench, query, cache)));
                checks.add(new OperatorCheck("treeAttention long contexts" + types, bench -> longContexts(bench, query, cache)));
                checks.add(new OperatorCheck("treeAttention row bits" + types, bench -> rowBits(bench, query, cache)));
            }
        }
        checks.add(new OperatorCheck("treeAttention refusals", TreeAttentionChecks::refusals));
        checks.add(new OperatorCheck("treeAttention faults", TreeAttentionChecks::faults));
        return checks;
    }

    private static String name(DType dtype) {
        return dtype == DType.F32 ? "f32" : "bf16";
    }

    /** Rounding of the result, and of weights where queries and cache are bf16. */
    private static void compare(AttentionScene scene, String what, DType query, DType cache) {
        if (query == DType.F32) {
            scene.compare(what, 5e-6, 5e-6);
        } else {
            scene.compare(what, 8e-3, cache == DType.BF16 ? 8e-3 : 1e-5);
        }
    }

    private static long[] tokens(CheckBench bench, int count) {
        return bench.random().longs(count, 1, Long.MAX_VALUE).toArray();
    }

    private static int[] chain(int nodes) {
        int[] parents = new int[nodes];
        for (int i = 0; i < nodes; i++) {
            parents[i] = i - 1;
        }
        return parents;
    }

    private static int[] randomTree(CheckBench bench, int nodes) {
        int[] parents = new int[nodes];
        for (int i = 0; i < nodes; i++) {
            parents[i] = i == 0 ? -1 : bench.random().nextInt(i);
        }
        return parents;
    }

    private static Request decode(CheckBench bench, int committed) {
        return Request.decode(tokens(bench, committed + 1));
    }

    private static Request tree(CheckBench bench, int committed, int nodes) {
        return Request.tree(tokens(bench, committed + nodes), committed, randomTree(bench, nodes));
    }

    private static Request prefill(CheckBench bench, int from, int to) {
        return Request.prefill(tokens(bench, to), from);
    }

    private static void headSizes(CheckBench bench, DType query, DType cache) {
        int[][] shapes = {{1, 1, 32}, {4, 1, 64}, {7, 1, 96}, {8, 1, 128}, {2, 1, 256}, {4, 2, 32}};
        int[] pages = {16, 32, 64, 16, 32, 5};
        for (int i = 0; i < shapes.length; i++) {
            AttentionShape shape = new AttentionShape(shapes[i][0], shapes[i][1], shapes[i][2]);
            // With a gap of 8 elements rows stay aligned to 16 bytes, with 3 they do not.
            AttentionScene scene = new AttentionScene(bench, shape, new Types(query, cache, pages[i]), i % 2 == 0 ? 8 : 3,
                List.of(decode(bench, 41), tree(bench, 30, 5), prefill(bench, 0, 3)));
            compare(scene, "heads of " + shape, query, cache);
        }
    }

    private static void mixedBatches(CheckBench bench, DType query, DType cache) {
        AttentionShape shape = new AttentionShape(4, 2, 32);
        List<List<Request>> batches = List.of(
            List.of(decode(bench, 0)),
            List.of(decode(bench, 1), decode(bench, 31), decode(bench, 32), decode(bench, 63), decode(bench, 200)),
            List.of(tree(bench, 0, 64)),
            List.of(Request.tree(tokens(bench, 33 + 64), 33, chain(64)), tree(bench, 17, 1), tree(bench, 95, 17)),
            List.of(prefill(bench, 0, 41), prefill(bench, 37, 90)),
            List.of(tree(bench, 5, 3), new Request(3, tokens(bench, 3), List.of()), prefill(bench, 60, 61), decode(bench, 64),
                new Request(0, new long[0], List.of())),
            List.of(manyWays(bench)));
        for (int i = 0; i < batches.size(); i++) {
            compare(new AttentionScene(bench, shape, new Types(query, cache, 16), 0, batches.get(i)), "batch " + i, query, cache);
        }
        // Many requests: more than a warp's lanes.
        List<Request> many = new ArrayList<>();
        for (int r = 0; r < 71; r++) {
            many.add(r % 3 == 0 ? new Request(2, tokens(bench, 2), List.of()) : decode(bench, r % 5));
        }
        compare(new AttentionScene(bench, new AttentionShape(1, 1, 32), new Types(query, cache, 16), 0, many), "many requests", query,
            cache);
        AttentionScene empty = new AttentionScene(bench, shape, new Types(query, cache, 16), 0, List.of());
        compare(empty, "no requests", query, cache);
    }

    /** Rows of one request that see contexts of all kinds, with and without in-flight tokens, some of them twice. */
    private static Request manyWays(CheckBench bench) {
        int committed = 70;
        long[] tokens = tokens(bench, committed + 20);
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < 23; i++) {
            long mask = i % 4 == 3 ? 0 : bench.random().nextLong() & 0xfffffL;
            rows.add(new Row(bench.random().nextLong(1, Long.MAX_VALUE), mask == 0 ? 1 + i : (i * 37) % 91, mask));
        }
        return new Request(committed, tokens, rows);
    }

    /** More chunks than one, so that parts are merged, and more rows than a block takes. */
    private static void longContexts(CheckBench bench, DType query, DType cache) {
        AttentionShape shape = new AttentionShape(4, 1, 32);
        Types types = new Types(query, cache, 64);
        List<Request> decoding = List.of(decode(bench, 1279), decode(bench, 511), decode(bench, 512), decode(bench, 3));
        compare(new AttentionScene(bench, shape, types, 0, decoding), "decoding", query, cache);
        List<Request> trees = List.of(tree(bench, 1499, 33), tree(bench, 600, 40), tree(bench, 700, 1));
        compare(new AttentionScene(bench, shape, types, 0, trees), "trees", query, cache);
        compare(new AttentionScene(bench, shape, types, 0, List.of(prefill(bench, 490, 531), tree(bench, 20, 9))), "prefill", query, cache);
    }

    /** Nodes of trees and prefilled rows, against the same tokens decoded one by one, over other pages, in other company. */
    private static void rowBits(CheckBench bench, DType query, DType cache) {
        sameBits(bench, new AttentionShape(2, 1, 32), query, cache, 70, 24);
        sameBits(bench, new AttentionShape(7, 1, 32), query, cache, 510, 13);
        sameBits(bench, new AttentionShape(1, 1, 128), query, cache, 15, 20);
    }

    private static void sameBits(CheckBench bench, AttentionShape shape, DType query, DType cache, int committed, int nodes) {
        Types types = new Types(query, cache, 16);
        int[] parents = randomTree(bench, nodes);
        long[] tokens = tokens(bench, committed + nodes);
        AttentionScene verified = new AttentionScene(bench, shape, types, 0,
            List.of(tree(bench, 3, 2), Request.tree(tokens, committed, parents), decode(bench, 9)));
        verified.runDevice();
        verified.pull();

        List<long[]> paths = new ArrayList<>();
        for (int node = 0; node < nodes; node++) {
            long[] path = node == 0 ? Arrays.copyOf(tokens, committed + 1)
                : Arrays.copyOf(paths.get(parents[node]), paths.get(parents[node]).length + 1);
            path[path.length - 1] = tokens[committed + node];
            paths.add(path);
        }
        // Each node decoded, all in one batch; then some of them alone.
        AttentionScene decoded = new AttentionScene(bench, shape, types, 3, paths.stream().map(Request::decode).toList());
        decoded.runDevice();
        decoded.pull();
        for (int node = 0; node < nodes; node++) {
            same(bench, shape + " node " + node + ", verified and decoded", verified.got(2 + node), decoded.got(node));
        }
        long[] deepest = paths.getFirst();
        int leaf = 0;
        for (int node = 0; node < nodes; node++) {
            if (paths.get(node).length > deepest.length) {
                deepest = paths.get(node);
                leaf = node;
            }
        }
        // Tokens of a page of 5 are copied one by one.
        for (int page : new int[] {32, 5}) {
            AttentionScene alone = new AttentionScene(bench, shape, new Types(query, cache, page), 0, List.of(Request.decode(deepest)));
            alone.runDevice();
            alone.pull();
            same(bench, shape + ", decoded alone, pages of " + page, decoded.got(leaf), alone.got(0));
        }
        // The path to the deepest leaf prefilled with some of its context, and as a bare chain.
        int from = Math.max(0, committed - 5);
        AttentionScene prefilled = new AttentionScene(bench, shape, types, 0, List.of(decode(bench, 40), Request.prefill(deepest, from)));
        prefilled.runDevice();
        prefilled.pull();
        AttentionScene chained = new AttentionScene(bench, shape, types, 0,
            List.of(Request.tree(deepest, committed - 2, chain(deepest.length - committed + 2))));
        chained.runDevice();
        chained.pull();
        for (int node = leaf, place = deepest.length - 1; node >= 0; node = parents[node], place--) {
            same(bench, shape + " node " + node + ", decoded and prefilled", decoded.got(node), prefilled.got(1 + place - from));
            same(bench, shape + " node " + node + ", decoded and in a chain", decoded.got(node), chained.got(place - committed + 2));
        }
    }

    private static void same(CheckBench bench, String what, float[] a, float[] b) {
        for (int i = 0; i < a.length; i++) {
            if (Float.isNaN(a[i]) || Float.floatToRawIntBits(a[i]) != Float.floatToRawIntBits(b[i])) {
                throw bench.failure(what + ", element " + i + ": " + a[i] + " and " + b[i]);
            }
        }
        bench.require(a.length == b.length, what);
    }

    private static void refusals(CheckBench bench) {
        AttentionShape shape = new AttentionShape(4, 2, 32);
        AttentionScene s = new AttentionScene(bench, shape, new Types(DType.F32, DType.F32, 16), 0,
            List.of(decode(bench, 5), decode(bench, 6)));
        Tensor qkv = s.qkv().device();
        Tensor out = s.out().device();
        RowBatch batch = s.deviceBatch();
        Class<IllegalArgumentException> refusal = IllegalArgumentException.class;
        bench.refuses("a layer too many", refusal, () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), 2, batch, 2, out, 2));
        bench.refuses("layer -1", refusal, () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), -1, batch, 2, out, 2));
        bench.refuses("other heads", refusal,
            () -> bench.device().treeAttention(qkv, new AttentionShape(4, 4, 32), s.deviceKv(), 1, batch, 2, out, 2));
        bench.refuses("more rows than there are", refusal,
            () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), 1, batch, 2, out, 4));
        bench.refuses("rows of no request", refusal, () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), 1, batch, 0, out, 2));
        bench.refuses("more requests than there are", refusal,
            () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), 1, batch, 3, out, 2));
        bench.refuses("out of another type", refusal, () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), 1, batch, 2,
            bench.poisoned(DType.BF16, 2, shape.queryWidth(), 0).device(), 2));
        bench.refuses("out over the queries", refusal, () -> bench.device().treeAttention(qkv, shape, s.deviceKv(), 1, batch, 2,
            qkv.columns(0, shape.queryWidth()), 2));
        AttentionShape odd = new AttentionShape(1, 1, 34);
        AttentionScene other = new AttentionScene(bench, odd, new Types(DType.F32, DType.F32, 16), 0, List.of(decode(bench, 5)));
        bench.refuses("heads of 34", refusal, other::runDevice);
        changed(bench, batch.sequences(), 1, 2, value -> bench.refuses("a sequence too many", refusal, s::runDevice));
        changed(bench, batch.committed(), 0, -1, value -> bench.refuses("committed -1", refusal, s::runDevice));
        changed(bench, batch.committed(), 0, 33, value -> bench.refuses("more committed than pages hold", refusal, s::runDevice));
        compare(s, "after refusals", DType.F32, DType.F32);
    }

    /** What only the device sees is reported, and nothing is read or written out of range. */
    private static void faults(CheckBench bench) {
        AttentionShape shape = new AttentionShape(2, 1, 32);
        AttentionScene s = new AttentionScene(bench, shape, new Types(DType.BF16, DType.BF16, 16), 0, List.of(tree(bench, 40, 3)));
        RowBatch batch = s.deviceBatch();
        Runnable run = () -> {
            s.runDevice();
            bench.device().synchronize();
        };
        Class<IllegalArgumentException> refusal = IllegalArgumentException.class;
        HostMirror table = s.deviceKv().pageTable();
        changed(bench, table, 1, -1, value -> bench.refuses("a context without a page", refusal, run));
        changed(bench, table, 0, s.deviceKv().layout().pages(), value -> bench.refuses("a page too many", refusal, run));
        changed(bench, batch.contexts(), 1, -3, value -> bench.refuses("a negative context", refusal, run));
        changed(bench, batch.contexts(), 2, 65, value -> bench.refuses("a context longer than the pages", refusal, run));
        changed(bench, batch.rowRequests(), 1, 1, value -> bench.refuses("a row of another request", refusal, run));
        long mask = batch.masks().host().host().getAtIndex(ValueLayout.JAVA_LONG, 1);
        batch.masks().host().host().setAtIndex(ValueLayout.JAVA_LONG, 1, mask | 1L << 63);
        s.push();
        bench.refuses("an in-flight token past the pages", refusal, run);
        batch.masks().host().host().setAtIndex(ValueLayout.JAVA_LONG, 1, mask);
        s.push();
        compare(s, "after faults", DType.BF16, DType.BF16);
    }

    /** Runs something with one entry changed, on host and device. */
    private static void changed(CheckBench bench, HostMirror mirror, int index, int value, Consumer<Integer> action) {
        int before = mirror.host().host().getAtIndex(ValueLayout.JAVA_INT, index);
        mirror.host().host().setAtIndex(ValueLayout.JAVA_INT, index, value);
        bench.device().push(mirror, mirror.host().size());
        action.accept(value);
        mirror.host().host().setAtIndex(ValueLayout.JAVA_INT, index, before);
        bench.device().push(mirror, mirror.host().size());
    }
}

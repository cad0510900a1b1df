package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;

/**
 * A paged cache and a batch of rows over it, on both sides. A token's query, key and value follow from its number, so the same token
 * can be put into other scenes: committed or in flight, on other pages, in other company. What no row may see is NaN.
 */
final class AttentionScene {
    private static final int LAYERS = 2;
    /** The layer that is read. */
    static final int LAYER = 1;

    /**
     * Precisions and page size.
     *
     * @param query dtype of query rows and results
     * @param cache dtype of keys and values
     */
    record Types(DType query, DType cache, int pageSize) {
    }

    /** One row: the number of its token, and what it sees. */
    record Row(long token, int context, long mask) {
    }

    /**
     * One request.
     *
     * @param tokens numbers of its tokens, place by place, those in flight at the end; 0 for a place that holds none
     */
    record Request(int committed, long[] tokens, List<Row> rows) {
        /** The token at place {@code committed} decoded after those before it. */
        static Request decode(long[] tokens) {
            int last = tokens.length - 1;
            return new Request(last, tokens, List.of(new Row(tokens[last], last, 1)));
        }

        /** Tokens {@code from} to the end in one pass. */
        static Request prefill(long[] tokens, int from) {
            List<Row> rows = new ArrayList<>();
            for (int i = from; i < tokens.length; i++) {
                rows.add(new Row(tokens[i], i + 1, 0));
            }
            return new Request(from, tokens, rows);
        }

        /** A tree over {@code committed} tokens; {@code parents[i]} is under i, and -1 for the root. */
        static Request tree(long[] tokens, int committed, int[] parents) {
            List<Row> rows = new ArrayList<>();
            long[] masks = new long[parents.length];
            for (int i = 0; i < parents.length; i++) {
                masks[i] = (parents[i] < 0 ? 0 : masks[parents[i]]) | 1L << i;
                rows.add(new Row(tokens[committed + i], committed, masks[i]));
            }
            return new Request(committed, tokens, rows);
        }
    }

    private final CheckBench bench;
    private final AttentionShape shape;
    private final int requests;
    private final int rows;
    private final Twin qkv;
    private final Twin out;
    private final KvStore truthKv;
    private final KvStore deviceKv;
    private final RowBatch truthBatch;
    private final RowBatch deviceBatch;

    /** @param gap elements between query rows, and between rows of the result */
    AttentionScene(CheckBench bench, AttentionShape shape, Types types, int gap, List<Request> batch) {
        this.bench = bench;
        this.shape = shape;
        this.requests = batch.size();
        int width = 1;
        int pages = 3;
        int count = 0;
        for (Request request : batch) {
            int own = (request.tokens().length + types.pageSize() - 1) / types.pageSize();
            width = Math.max(width, own + 1);
            pages += own;
            count += request.rows().size();
        }
        rows = count;
        KvLayout layout = new KvLayout(DType.F32, LAYERS, shape.kvHeads(), shape.headDim(), types.pageSize(), pages);
        Twin data = bench.poisoned(types.cache(), layout.rows(), layout.cols(), 0);
        HostMirror truthTable = bench.truthArena().mirror(DType.I32, requests, width);
        HostMirror deviceTable = bench.deviceArena().mirror(DType.I32, requests, width);
        truthKv = new KvStore(layout, data.truth(), truthTable);
        KvLayout deviceLayout = new KvLayout(types.cache(), LAYERS, shape.kvHeads(), shape.headDim(), types.pageSize(), pages);
        deviceKv = new KvStore(deviceLayout, data.device(), deviceTable);
        truthBatch = RowBatch.allocate(bench.truthArena(), rows + 1, requests);
        deviceBatch = RowBatch.allocate(bench.deviceArena(), rows + 1, requests);
        qkv = bench.poisoned(types.query(), rows + 1, shape.fusedWidth(), gap);
        out = bench.poisoned(types.query(), rows + 1, shape.queryWidth(), gap);

        List<Integer> order = new ArrayList<>();
        for (int page = 0; page < pages; page++) {
            order.add(bench.random().nextInt(order.size() + 1), page);
        }
        int row = 0;
        for (int r = 0; r < requests; r++) {
            Request request = batch.get(r);
            // Sequences in another order than requests.
            int sequence = requests - 1 - r;
            int own = (request.tokens().length + types.pageSize() - 1) / types.pageSize();
            for (int i = 0; i < width; i++) {
                int page = i < own ? order.removeLast() : -1;
                put(truthTable, deviceTable, sequence * width + i, page);
                int end = page < 0 ? 0 : Math.min(request.tokens().length, (i + 1) * types.pageSize());
                for (int place = i * types.pageSize(); place < end; place++) {
                    cache(data, layout, page * types.pageSize() + place % types.pageSize(), request.tokens()[place]);
                }
            }
            put(truthBatch.sequences(), deviceBatch.sequences(), r, sequence);
            put(truthBatch.committed(), deviceBatch.committed(), r, request.committed());
            put(truthBatch.firstRows(), deviceBatch.firstRows(), r, row);
            for (Row live : request.rows()) {
                put(truthBatch.contexts(), deviceBatch.contexts(), row, live.context());
                put(truthBatch.rowRequests(), deviceBatch.rowRequests(), row, r);
                truthBatch.masks().host().host().setAtIndex(ValueLayout.JAVA_LONG, row, live.mask());
                deviceBatch.masks().host().host().setAtIndex(ValueLayout.JAVA_LONG, row, live.mask());
                SplittableRandom random = new SplittableRandom(live.token());
                for (int i = 0; i < shape.queryWidth(); i++) {
                    qkv.set(row, i, 1.5 * gaussian(random));
                }
                row++;
            }
        }
        put(truthBatch.firstRows(), deviceBatch.firstRows(), requests, row);
        qkv.push();
        data.push();
        push();
    }

    /** Sends tables and batch to the device again, after a change. */
    void push() {
        Ops device = bench.device();
        device.push(deviceKv.pageTable(), deviceKv.pageTable().host().size());
        for (HostMirror mirror : List.of(deviceBatch.sequences(), deviceBatch.committed(), deviceBatch.firstRows(), deviceBatch.contexts(),
            deviceBatch.rowRequests(), deviceBatch.masks())) {
            device.push(mirror, mirror.host().size());
        }
    }

    private void cache(Twin data, KvLayout layout, int slot, long token) {
        if (token == 0) {
            return;
        }
        SplittableRandom random = new SplittableRandom(~token);
        for (int head = 0; head < shape.kvHeads(); head++) {
            long offset = layout.keyOffset(LAYER, slot, head);
            int row = Math.toIntExact(offset / layout.cols());
            int key = (int) (offset % layout.cols());
            int value = Math.toIntExact(key + layout.kvHeads() * layout.headElements());
            for (int i = 0; i < shape.headDim(); i++) {
                data.set(row, key + i, gaussian(random));
                data.set(row, value + i, gaussian(random));
            }
        }
    }

    private static double gaussian(SplittableRandom random) {
        return Math.sqrt(-2 * Math.log(1 - random.nextDouble())) * Math.cos(2 * Math.PI * random.nextDouble());
    }

    private static void put(HostMirror truth, HostMirror device, int index, int value) {
        truth.host().host().setAtIndex(ValueLayout.JAVA_INT, index, value);
        device.host().host().setAtIndex(ValueLayout.JAVA_INT, index, value);
    }

    void runDevice() {
        bench.device().treeAttention(qkv.device(), shape, deviceKv, LAYER, deviceBatch, requests, out.device(), rows);
    }

    /** Runs both sides and compares. */
    void compare(String what, double relative, double absolute) {
        bench.truth().treeAttention(qkv.truth(), shape, truthKv, LAYER, truthBatch, requests, out.truth(), rows);
        runDevice();
        bench.compare(what, out, rows, relative, absolute);
        bench.untouched(what, out, rows);
    }

    /** What the device has made of a row, after {@link #pull}. */
    float[] got(int row) {
        float[] values = new float[shape.queryWidth()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) out.got(row, i);
        }
        return values;
    }

    void pull() {
        out.pull();
    }

    int rows() {
        return rows;
    }

    Twin qkv() {
        return qkv;
    }

    Twin out() {
        return out;
    }

    KvStore deviceKv() {
        return deviceKv;
    }

    RowBatch deviceBatch() {
        return deviceBatch;
    }
}

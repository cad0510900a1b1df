package org.respec.engine.model;

import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Forward passes of a {@link Drafter} over its own paged cache. Row t of a sequence combines the actor's features at token t with
 * token t + 1 and predicts token t + 2.
 */
public final class DrafterInference implements AutoCloseable {
    private final Ops ops;
    private final Drafter drafter;
    private final TensorArena arena;
    private final DecoderScratch scratch;
    private final Tensor features;
    private final Tensor x;
    private final Tensor embedded;
    private final Tensor input;
    private final Tensor inputEmbedding;
    private final Tensor inputHidden;
    private final Tensor parents;
    private final Tensor normed;
    private final Tensor logits;

    /**
     * @param maxRows most rows of one pass
     * @param maxHeadRows most rows that logits are computed for at once
     */
    public DrafterInference(Ops ops, Drafter drafter, int maxRows, int maxHeadRows) {
        this.ops = ops;
        this.drafter = drafter;
        DrafterConfig config = drafter.config();
        int h = config.hiddenSize();
        DType dtype = drafter.dtype();
        arena = ops.arena("drafter inference");
        scratch = new DecoderScratch(arena, dtype, maxRows, h, config.intermediateSize(), drafter.shape);
        features = arena.allocate(dtype, maxRows, drafter.fuse.cols());
        x = arena.allocate(dtype, maxRows, h);
        embedded = arena.allocate(dtype, maxRows, h);
        input = arena.allocate(dtype, maxRows, 2 * h);
        inputEmbedding = input.columns(0, h);
        inputHidden = input.columns(h, 2 * h);
        parents = arena.allocate(dtype, maxHeadRows, h);
        normed = arena.allocate(dtype, maxHeadRows, h);
        logits = arena.allocate(DType.F32, maxHeadRows, config.vocabSize());
    }

    /** Logits of the last {@link #heads}, F32 [maxHeadRows x vocab]. */
    public Tensor logits() {
        return logits;
    }

    /**
     * Extends the drafter's cache over decided tokens: gathers features, fuses them and runs the layer.
     *
     * @param store features of all sequences
     * @param storeRows I32 row of the store for each row of the batch
     */
    public void extend(Tensor store, Tensor storeRows, RowBatch batch, KvStore kv, int requests, int rows) {
        ops.copyRows(store, storeRows, features, null, rows);
        ops.linear(features, drafter.fusePacked, x, false, rows);
        layer(batch, kv, requests, rows);
    }

    /** Runs the layer over tree rows, each on top of its parent's output: row {@code parentRows[i]} of the last {@link #heads}. */
    public void step(Tensor parentRows, RowBatch batch, KvStore kv, int requests, int rows) {
        ops.copyRows(parents, parentRows, x, null, rows);
        layer(batch, kv, requests, rows);
    }

    /** Logits of some rows of the last pass, whose outputs also become what {@link #step} continues from. */
    public void heads(Tensor rowIndices, int count) {
        ops.copyRows(x, rowIndices, parents, null, count);
        ops.rmsNorm(parents, drafter.finalNorm, drafter.layer.eps, normed, count);
        ops.linear(normed, drafter.headPacked, logits, false, count);
    }

    private void layer(RowBatch batch, KvStore kv, int requests, int rows) {
        float eps = drafter.layer.eps;
        ops.embedding(drafter.embedding, batch.tokens().device(), embedded, rows);
        ops.rmsNorm(embedded, drafter.inputNorm, eps, inputEmbedding, rows);
        ops.rmsNorm(x, drafter.hiddenNorm, eps, inputHidden, rows);
        scratch.layer(ops, drafter.layer, drafter.rope, input, x, kv, 0, batch, requests, rows);
    }

    @Override
    public void close() {
        arena.close();
    }
}

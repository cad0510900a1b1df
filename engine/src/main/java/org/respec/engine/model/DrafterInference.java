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
    private final Tensor rootQueries;
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
        rootQueries = arena.allocate(dtype, maxHeadRows, scratch.qkv.cols());
        parents = arena.allocate(dtype, maxHeadRows, h);
        normed = arena.allocate(dtype, maxHeadRows, h);
        logits = arena.allocate(DType.F32, maxHeadRows, config.vocabSize());
    }

    /** Logits of the last {@link #roots} or {@link #step}, F32 [maxHeadRows x vocab]. */
    public Tensor logits() {
        return logits;
    }

    /**
     * Extends the drafter's cache over decided tokens: gathers features, fuses them and computes keys and values. The drafter has one
     * layer, so what that would make of these rows is read by nobody, but for each request's last one: see {@link #roots}.
     *
     * @param store features of all sequences
     * @param storeRows I32 row of the store for each row of the batch
     */
    public void extend(Tensor store, Tensor storeRows, RowBatch batch, KvStore kv, int rows) {
        ops.copyRows(store, storeRows, features, null, rows);
        ops.linear(features, drafter.fusePacked, x, false, rows);
        input(batch, rows);
        scratch.append(ops, drafter.layer, drafter.rope, input, kv, 0, batch, rows);
    }

    /**
     * Runs the layer over some rows of the last {@link #extend}, one for each request, and computes the logits there, which trees begin
     * with.
     *
     * @param lastRows I32 [1 x count] which rows
     * @param batch these rows alone
     */
    public void roots(Tensor lastRows, RowBatch batch, KvStore kv, int count) {
        ops.copyRows(scratch.qkv, lastRows, rootQueries, null, count);
        ops.copyRows(x, lastRows, parents, null, count);
        scratch.attend(ops, drafter.layer, rootQueries, parents, kv, 0, batch, count, count);
        heads(count);
    }

    /** Runs the layer over tree rows, each on top of its parent's output, row {@code parentRows[i]} of the last rows that had logits. */
    public void step(Tensor parentRows, RowBatch batch, KvStore kv, int requests, int rows) {
        ops.copyRows(parents, parentRows, x, null, rows);
        input(batch, rows);
        scratch.layer(ops, drafter.layer, drafter.rope, input, x, kv, 0, batch, requests, rows);
        ops.copyRows(x, null, parents, null, rows);
        heads(rows);
    }

    /** Puts the tokens' embeddings and {@link #x}, both normalised, side by side. */
    private void input(RowBatch batch, int rows) {
        float eps = drafter.layer.eps;
        ops.embedding(drafter.embedding, batch.tokens().device(), embedded, rows);
        ops.rmsNorm(embedded, drafter.inputNorm, eps, inputEmbedding, rows);
        ops.rmsNorm(x, drafter.hiddenNorm, eps, inputHidden, rows);
    }

    private void heads(int rows) {
        ops.rmsNorm(parents, drafter.finalNorm, drafter.layer.eps, normed, rows);
        ops.linear(normed, drafter.headPacked, logits, false, rows);
    }

    @Override
    public void close() {
        arena.close();
    }
}

package org.respec.engine.model;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Workspace of inference passes of up to {@code maxRows} rows, and the part of a decoder layer that actor and drafter share. */
final class DecoderScratch {
    final Tensor qkv;
    final Tensor attention;
    final Tensor normed;
    final Tensor gateUp;
    final Tensor activated;

    DecoderScratch(TensorArena arena, DType dtype, int maxRows, int hidden, int intermediate, AttentionShape shape) {
        qkv = arena.allocate(dtype, maxRows, shape.fusedWidth());
        attention = arena.allocate(dtype, maxRows, shape.queryWidth());
        normed = arena.allocate(dtype, maxRows, hidden);
        gateUp = arena.allocate(dtype, maxRows, 2 * intermediate);
        activated = arena.allocate(dtype, maxRows, intermediate);
    }

    /**
     * Attention and feed-forward of one layer over in-flight rows: {@code x += attention(input) W_o}, then
     * {@code x += mlp(norm(x))}.
     *
     * @param input what the query-key-value projection reads, already normalised
     * @param x residual stream, in and out
     */
    void layer(Ops ops, DecoderLayer layer, Tensor rope, Tensor input, Tensor x, KvStore kv, int kvLayer, RowBatch batch,
               int requests, int rows) {
        append(ops, layer, rope, input, kv, kvLayer, batch, rows);
        attend(ops, layer, qkv, x, kv, kvLayer, batch, requests, rows);
    }

    /** The part of {@link #layer} that other rows depend on: their keys and values, and {@link #qkv} with their queries. */
    void append(Ops ops, DecoderLayer layer, Tensor rope, Tensor input, KvStore kv, int kvLayer, RowBatch batch, int rows) {
        ops.linear(input, layer.qkv, qkv, false, rows);
        ops.qkNormRopeAppend(qkv, layer.shape, layer.weights.qNorm(), layer.weights.kNorm(), layer.eps, rope, kv, kvLayer, batch, rows);
    }

    /** The rest of {@link #layer}, over rows whose queries are in {@code queries}, of the shape of {@link #qkv}. */
    void attend(Ops ops, DecoderLayer layer, Tensor queries, Tensor x, KvStore kv, int kvLayer, RowBatch batch, int requests, int rows) {
        ops.treeAttention(queries, layer.shape, kv, kvLayer, batch, requests, attention, rows);
        ops.linear(attention, layer.output, x, true, rows);
        ops.rmsNorm(x, layer.weights.postNorm(), layer.eps, normed, rows);
        ops.linear(normed, layer.gateUp, gateUp, false, rows);
        ops.swiglu(gateUp, activated, rows);
        ops.linear(activated, layer.down, x, true, rows);
    }
}

package org.respec.engine.model;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.TensorArena;

/**
 * One decoder layer: its weights, and packed copies of the matrices for forward products. The actor's layers and the drafter's
 * single layer share it; only the width of the attention's input differs.
 */
final class DecoderLayer {
    final AttentionShape shape;
    final float eps;
    final LayerTensors weights;
    final PackedMatrix qkv;
    final PackedMatrix output;
    final PackedMatrix gateUp;
    final PackedMatrix down;

    DecoderLayer(Ops ops, TensorArena arena, LayerTensors weights, AttentionShape shape, float eps) {
        this.shape = shape;
        this.eps = eps;
        this.weights = weights;
        qkv = Packing.of(ops, arena, weights.qkv());
        output = Packing.of(ops, arena, weights.output());
        gateUp = Packing.of(ops, arena, weights.gateUp());
        down = Packing.of(ops, arena, weights.down());
    }

    /** Type of weights and activations. */
    DType dtype() {
        return weights.qkv().dtype();
    }

    void repack(Ops ops) {
        ops.repack(weights.qkv(), qkv);
        ops.repack(weights.output(), output);
        ops.repack(weights.gateUp(), gateUp);
        ops.repack(weights.down(), down);
    }
}

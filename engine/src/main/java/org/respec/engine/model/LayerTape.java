package org.respec.engine.model;

import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Activations that one decoder layer keeps from its training forward pass for its backward pass. */
final class LayerTape {
    final Tensor input;
    final Tensor qkv;
    final Tensor rotated;
    final Tensor attention;
    final Tensor middle;
    final Tensor normed;
    final Tensor gateUp;
    final Tensor activated;

    LayerTape(TensorArena arena, DecoderLayer layer, int maxRows) {
        int hidden = layer.output.outputs();
        DType dtype = layer.dtype();
        input = arena.allocate(dtype, maxRows, layer.qkv.inputs());
        qkv = arena.allocate(dtype, maxRows, layer.shape.fusedWidth());
        rotated = arena.allocate(dtype, maxRows, layer.shape.fusedWidth());
        attention = arena.allocate(dtype, maxRows, layer.shape.queryWidth());
        middle = arena.allocate(dtype, maxRows, hidden);
        normed = arena.allocate(dtype, maxRows, hidden);
        gateUp = arena.allocate(dtype, maxRows, layer.gateUp.outputs());
        activated = arena.allocate(dtype, maxRows, layer.down.inputs());
    }

    /** Scratch gradients that backward passes of equal shape share. */
    static final class Gradients {
        final Tensor input;
        final Tensor qkv;
        final Tensor attention;
        final Tensor normed;
        final Tensor gateUp;
        final Tensor activated;

        Gradients(TensorArena arena, DecoderLayer layer, int maxRows) {
            DType dtype = layer.dtype();
            input = arena.allocate(dtype, maxRows, layer.qkv.inputs());
            qkv = arena.allocate(dtype, maxRows, layer.shape.fusedWidth());
            attention = arena.allocate(dtype, maxRows, layer.shape.queryWidth());
            normed = arena.allocate(dtype, maxRows, layer.output.outputs());
            gateUp = arena.allocate(dtype, maxRows, layer.gateUp.outputs());
            activated = arena.allocate(dtype, maxRows, layer.down.inputs());
        }
    }

    /**
     * Runs the layer on {@link #input}, which the caller has filled, and adds its two residual branches to {@code x}.
     *
     * @param steps rotated rows of this and earlier unrolled steps; {@code steps[depth]} is this tape's {@link #rotated}
     */
    void forward(Ops ops, DecoderLayer layer, Tensor rope, Tensor[] steps, int depth, Spans spans, int sequences, Tensor x, int rows) {
        ops.fastLinear(input, layer.qkv, qkv, false, rows);
        ops.qkNormRope(qkv, layer.shape, layer.weights.qNorm(), layer.weights.kNorm(), layer.eps, spans.positions().device(), depth,
            rope, rotated, rows);
        ops.chainAttention(steps, depth, layer.shape, spans, sequences, attention, rows);
        ops.fastLinear(attention, layer.output, x, true, rows);
        ops.copyRmsNorm(x, layer.weights.postNorm(), layer.eps, middle, null, normed, rows);
        ops.fastLinear(normed, layer.gateUp, gateUp, false, rows);
        ops.swiglu(gateUp, activated, rows);
        ops.fastLinear(activated, layer.down, x, true, rows);
    }

    /**
     * Turns {@code dX}, the gradient at the layer's output, into the gradient along the residual stream at its input, and leaves the
     * gradient at {@link #input} in {@code scratch.input}; adds to {@code gradients}.
     *
     * @param dSteps gradients at {@code steps}; those of later steps have been added to {@code dSteps[depth]} already
     */
    void backward(Ops ops, DecoderLayer layer, LayerTensors gradients, Gradients scratch, Tensor rope, Tensor[] steps,
                  Tensor[] dSteps, int depth, Spans spans, int sequences, Tensor dX, int rows) {
        LayerTensors w = layer.weights;
        ops.linearBackwardWeight(dX, activated, gradients.down(), rows);
        ops.linearBackwardInput(dX, w.down(), scratch.activated, false, rows);
        ops.swigluBackward(gateUp, scratch.activated, scratch.gateUp, rows);
        ops.linearBackwardWeight(scratch.gateUp, normed, gradients.gateUp(), rows);
        ops.linearBackwardInput(scratch.gateUp, w.gateUp(), scratch.normed, false, rows);
        ops.rmsNormBackward(middle, w.postNorm(), layer.eps, scratch.normed, dX, true, gradients.postNorm(), rows);
        ops.linearBackwardWeight(dX, attention, gradients.output(), rows);
        ops.linearBackwardInput(dX, w.output(), scratch.attention, false, rows);
        ops.chainAttentionBackward(steps, depth, layer.shape, spans, sequences, scratch.attention, dSteps, rows);
        ops.qkNormRopeBackward(qkv, layer.shape, w.qNorm(), w.kNorm(), layer.eps, spans.positions().device(), depth, rope,
            dSteps[depth], scratch.qkv, gradients.qNorm(), gradients.kNorm(), rows);
        ops.linearBackwardWeight(scratch.qkv, input, gradients.qkv(), rows);
        ops.linearBackwardInput(scratch.qkv, w.qkv(), scratch.input, false, rows);
    }
}

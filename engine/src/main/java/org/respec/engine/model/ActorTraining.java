package org.respec.engine.model;

import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Forward and backward passes of an {@link Actor} over packed sequences. The caller fills {@link #tokens} and {@link #spans}, calls
 * {@link #forward}, turns {@link #logits} into their gradient in place, and calls {@link #backward}.
 */
public final class ActorTraining implements AutoCloseable {
    private final Ops ops;
    private final Actor actor;
    private final TensorArena arena;
    private final int maxRows;
    private final HostMirror tokens;
    private final Spans spans;
    private final LayerTape[] tapes;
    private final LayerTape.Gradients scratch;
    private final Tensor[] inputs;
    private final Tensor[] step = new Tensor[1];
    private final Tensor[] dStep = new Tensor[1];
    private final Tensor x;
    private final Tensor normed;
    private final Tensor logits;
    private final Tensor dX;
    private final Tensor dNormed;

    /** Passes over up to {@code maxRows} rows of up to {@code maxSequences} sequences. */
    public ActorTraining(Ops ops, Actor actor, int maxRows, int maxSequences) {
        this.ops = ops;
        this.actor = actor;
        this.maxRows = maxRows;
        arena = ops.arena("actor training");
        int h = actor.config().hiddenSize();
        tokens = arena.mirror(DType.I32, 1, maxRows);
        spans = Spans.allocate(arena, maxRows, maxSequences);
        tapes = new LayerTape[actor.layers.length];
        inputs = new Tensor[tapes.length];
        for (int i = 0; i < tapes.length; i++) {
            tapes[i] = new LayerTape(arena, actor.layers[i], maxRows);
            inputs[i] = arena.allocate(DType.F32, maxRows, h);
        }
        scratch = new LayerTape.Gradients(arena, actor.layers[0], maxRows);
        dStep[0] = arena.allocate(DType.F32, maxRows, actor.shape.fusedWidth());
        x = arena.allocate(DType.F32, maxRows, h);
        normed = arena.allocate(DType.F32, maxRows, h);
        logits = arena.allocate(DType.F32, maxRows, actor.config().vocabSize());
        dX = arena.allocate(DType.F32, maxRows, h);
        dNormed = arena.allocate(DType.F32, maxRows, h);
    }

    public int maxRows() {
        return maxRows;
    }

    /** I32 [1 x maxRows] token of each row; fill and push before {@link #forward}. */
    public HostMirror tokens() {
        return tokens;
    }

    /** Where sequences begin; fill and push before {@link #forward}. */
    public Spans spans() {
        return spans;
    }

    /** [maxRows x vocab]: the last forward pass's logits; row r predicts the token after row r. */
    public Tensor logits() {
        return logits;
    }

    /** Computes {@link #logits} and keeps what {@link #backward} needs. */
    public void forward(int sequences, int rows) {
        float eps = (float) actor.config().rmsNormEps();
        ops.embedding(actor.embedding, tokens.device(), x, rows);
        for (int i = 0; i < tapes.length; i++) {
            ops.copy(x, inputs[i], rows);
            ops.rmsNorm(x, actor.inputNorms[i], eps, tapes[i].input, rows);
            step[0] = tapes[i].rotated;
            tapes[i].forward(ops, actor.layers[i], actor.rope, step, 0, spans, sequences, x, rows);
        }
        ops.rmsNorm(x, actor.finalNorm, eps, normed, rows);
        ops.linear(normed, actor.headPacked, logits, false, rows);
    }

    /** Adds the gradients of all weights, given their gradient in {@link #logits}, to {@code gradients}. */
    public void backward(ParameterSet gradients, int sequences, int rows) {
        ActorGradients g = new ActorGradients(gradients, actor.config());
        float eps = (float) actor.config().rmsNormEps();
        ops.linearBackwardWeight(logits, normed, g.head(), rows);
        ops.linearBackwardInput(logits, actor.head, dNormed, false, rows);
        ops.rmsNormBackward(x, actor.finalNorm, eps, dNormed, dX, false, g.finalNorm(), rows);
        for (int i = tapes.length - 1; i >= 0; i--) {
            step[0] = tapes[i].rotated;
            ops.fill(dStep[0], 0f);
            tapes[i].backward(ops, actor.layers[i], g.layer(i), scratch, actor.rope, step, dStep, 0, spans, sequences, dX, rows);
            ops.rmsNormBackward(inputs[i], actor.inputNorms[i], eps, scratch.input, dX, true, g.inputNorm(i), rows);
        }
        ops.embeddingBackward(dX, tokens.device(), g.embedding(), rows);
    }

    /** Names of an actor's gradient tensors. */
    private record ActorGradients(ParameterSet set, ModelConfig config) {
        Tensor embedding() {
            return set.get("model.embed_tokens.weight");
        }

        Tensor head() {
            return config.tieWordEmbeddings() ? embedding() : set.get("lm_head.weight");
        }

        Tensor finalNorm() {
            return set.get("model.norm.weight");
        }

        Tensor inputNorm(int layer) {
            return set.get("model.layers." + layer + ".input_layernorm.weight");
        }

        LayerTensors layer(int layer) {
            return LayerTensors.of(set, "model.layers." + layer + ".");
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}

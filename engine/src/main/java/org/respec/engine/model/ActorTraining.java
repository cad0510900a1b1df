package org.respec.engine.model;

import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Forward and backward passes of an {@link Actor} over packed sequences. The caller fills {@link #tokens} and {@link #spans} and calls
 * {@link #forward}; then {@link #logProbs}, or {@link #loss} and {@link #backward}. Logits exist for some rows at a time, in a buffer
 * that they and their gradient share: all rows' would be larger than the model.
 */
public final class ActorTraining implements AutoCloseable {
    /** What a forward pass keeps for the backward pass. */
    public enum Keep {
        /** All activations. */
        ALL,
        /** Each layer's input, from which the backward pass computes the layer again: activation checkpointing. */
        INPUTS,
        /** Nothing: there is no backward pass. */
        NOTHING
    }

    /** Most bytes of logits at a time. */
    private static final long LOGIT_BYTES = 256 << 20;

    private final Ops ops;
    private final Actor actor;
    private final TensorArena arena;
    private final Keep keep;
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
    private final Tensor dLogits;
    private final Tensor dX;
    private final Tensor dNormed;

    /** Passes over up to {@code maxRows} rows of up to {@code maxSequences} sequences, keeping all activations. */
    public ActorTraining(Ops ops, Actor actor, int maxRows, int maxSequences) {
        this(ops, actor, maxRows, maxSequences, Keep.ALL);
    }

    /** Passes over up to {@code maxRows} rows of up to {@code maxSequences} sequences. */
    public ActorTraining(Ops ops, Actor actor, int maxRows, int maxSequences, Keep keep) {
        this(ops, actor, maxRows, maxSequences, keep, logitRows(DType.F32, actor.config().vocabSize(), maxRows));
    }

    /** Rows of {@code vocab} logits that exist at a time in a pass of {@code maxRows}. */
    static int logitRows(DType dtype, int vocab, int maxRows) {
        return (int) Math.clamp(LOGIT_BYTES / ((long) dtype.bytes() * vocab), 1, maxRows);
    }

    /** @param logitRows rows whose logits exist at a time */
    ActorTraining(Ops ops, Actor actor, int maxRows, int maxSequences, Keep keep, int logitRows) {
        this.ops = ops;
        this.actor = actor;
        this.keep = keep;
        arena = ops.arena("actor training");
        boolean built = false;
        try {
            int h = actor.config().hiddenSize();
            DType dtype = actor.dtype();
            tokens = arena.mirror(DType.I32, 1, maxRows);
            spans = Spans.allocate(arena, maxRows, maxSequences);
            tapes = new LayerTape[actor.layers.length];
            inputs = new Tensor[tapes.length];
            for (int i = 0; i < tapes.length; i++) {
                tapes[i] = keep == Keep.ALL || i == 0 ? new LayerTape(arena, actor.layers[i], maxRows) : tapes[0];
                inputs[i] = keep == Keep.NOTHING ? null : arena.allocate(dtype, maxRows, h);
            }
            x = arena.allocate(dtype, maxRows, h);
            normed = arena.allocate(dtype, maxRows, h);
            logits = arena.allocate(DType.F32, logitRows, actor.config().vocabSize());
            boolean backward = keep != Keep.NOTHING;
            scratch = backward ? new LayerTape.Gradients(arena, actor.layers[0], maxRows) : null;
            dStep[0] = backward ? arena.allocate(dtype, maxRows, actor.shape.fusedWidth()) : null;
            dLogits = dtype == DType.F32 || !backward ? logits : arena.allocate(dtype, logitRows, actor.config().vocabSize());
            dX = backward ? arena.allocate(dtype, maxRows, h) : null;
            dNormed = backward ? arena.allocate(dtype, maxRows, h) : null;
            built = true;
        } finally {
            if (!built) {
                arena.close();
            }
        }
    }

    /** I32 [1 x maxRows] token of each row; fill and push before {@link #forward}. */
    public HostMirror tokens() {
        return tokens;
    }

    /** Where sequences begin; fill and push before {@link #forward}. */
    public Spans spans() {
        return spans;
    }

    /** Computes all rows up to the head, and keeps what {@link #backward} needs. */
    public void forward(int sequences, int rows) {
        float eps = (float) actor.config().rmsNormEps();
        ops.embedding(actor.embedding, tokens.device(), x, rows);
        for (int i = 0; i < tapes.length; i++) {
            if (keep == Keep.NOTHING) {
                ops.rmsNorm(x, actor.inputNorms[i], eps, tapes[i].input, rows);
            } else {
                ops.copyRmsNorm(x, actor.inputNorms[i], eps, inputs[i], null, tapes[i].input, rows);
            }
            layer(i, sequences, rows);
        }
        ops.rmsNorm(x, actor.finalNorm, eps, normed, rows);
    }

    /** One layer over the residual stream {@link #x}, whose norm its tape has already. */
    private void layer(int i, int sequences, int rows) {
        step[0] = tapes[i].rotated;
        tapes[i].forward(ops, actor.layers[i], actor.rope, step, 0, spans, sequences, x, rows);
    }

    /** Rows whose logits exist at a time. */
    public int logitRows() {
        return logits.rows();
    }

    /**
     * Logits of rows {@code from} to {@code to} of the last forward pass, F32, until the next call; row r predicts the token after row r.
     */
    public Tensor logits(int from, int to) {
        ops.fastLinear(normed.rows(from, to), actor.headPacked, logits, false, to - from);
        return logits.rows(0, to - from);
    }

    /** Log-probabilities of {@code targets} (I32 [1 x rows]) at {@code temperature} into {@code out} (F32 [1 x rows]). */
    public void logProbs(Tensor targets, float temperature, Tensor out, int rows) {
        for (int from = 0; from < rows; from += logits.rows()) {
            int to = Math.min(rows, from + logits.rows());
            ops.logProbs(logits(from, to), targets.columns(from, to), temperature, out.columns(from, to), to - from);
        }
    }

    /**
     * Log-probabilities of {@code targets} as {@link Ops#policyLoss} gives them. Adds the head's gradient to {@code gradients} and keeps
     * that at its input for {@link #backward}.
     */
    public void loss(Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, ParameterSet gradients, int rows) {
        ActorGradients g = new ActorGradients(gradients, actor.config());
        for (int from = 0; from < rows; from += logits.rows()) {
            int to = Math.min(rows, from + logits.rows());
            int count = to - from;
            ops.policyLoss(logits(from, to), targets.columns(from, to), temperature, terms.columns(from, to), logProbs.columns(from, to),
                dLogits.rows(0, count), count);
            ops.linearBackwardWeight(dLogits, normed.rows(from, to), g.head(), count);
            ops.linearBackwardInput(dLogits, actor.head, dNormed.rows(from, to), false, count);
        }
    }

    /** Adds the gradients of all weights below the head, after {@link #loss}, to {@code gradients}. */
    public void backward(ParameterSet gradients, int sequences, int rows) {
        ActorGradients g = new ActorGradients(gradients, actor.config());
        float eps = (float) actor.config().rmsNormEps();
        ops.rmsNormBackward(x, actor.finalNorm, eps, dNormed, dX, false, g.finalNorm(), rows);
        for (int i = tapes.length - 1; i >= 0; i--) {
            if (keep == Keep.INPUTS && i < tapes.length - 1) {
                ops.copyRmsNorm(inputs[i], actor.inputNorms[i], eps, x, null, tapes[i].input, rows);
                layer(i, sequences, rows);
            }
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

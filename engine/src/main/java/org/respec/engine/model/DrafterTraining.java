package org.respec.engine.model;

import java.util.Arrays;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Unrolled forward and backward passes of a {@link Drafter} over packed sequences (EAGLE-3's training-time test). At step s, row t
 * stands for the tree node s levels below the root at token t + 1: it combines the output of step s - 1 at row t (step 0: the
 * actor's fused features at token t) with token t + 1 + s, sees the step-0 keys up to row t and its own keys of later steps, and
 * predicts token t + 2 + s.
 */
public final class DrafterTraining implements AutoCloseable {
    /** What one unrolled step reads and is taught; the caller fills and pushes all of it. */
    public static final class Step {
        private final HostMirror tokens;
        private final HostMirror teacherIds;
        private final HostMirror teacherLogProbs;
        private final HostMirror teacherTails;
        private final HostMirror weights;
        private final HostMirror losses;
        private final LayerTape tape;
        private final Tensor hidden;
        private final Tensor embedded;
        private final Tensor output;
        /** What the head reads and, after the loss, the gradient by it. */
        private final Tensor normed;
        private final Tensor dRotated;

        private Step(TensorArena arena, Drafter drafter, int maxRows, int topK) {
            int h = drafter.config().hiddenSize();
            DType dtype = drafter.dtype();
            tokens = arena.mirror(DType.I32, 1, maxRows);
            teacherIds = arena.mirror(DType.I32, maxRows, topK);
            teacherLogProbs = arena.mirror(DType.F32, maxRows, topK);
            teacherTails = arena.mirror(DType.F32, 1, maxRows);
            weights = arena.mirror(DType.F32, 1, maxRows);
            losses = arena.mirror(DType.F32, 1, maxRows);
            tape = new LayerTape(arena, drafter.layer, maxRows);
            hidden = arena.allocate(dtype, maxRows, h);
            embedded = arena.allocate(dtype, maxRows, h);
            output = arena.allocate(dtype, maxRows, h);
            normed = arena.allocate(dtype, maxRows, h);
            dRotated = arena.allocate(dtype, maxRows, drafter.shape.fusedWidth());
        }

        /** I32 [1 x maxRows]. */
        public HostMirror tokens() {
            return tokens;
        }

        /** I32 [maxRows x topK]. */
        public HostMirror teacherIds() {
            return teacherIds;
        }

        /** F32 [maxRows x topK]. */
        public HostMirror teacherLogProbs() {
            return teacherLogProbs;
        }

        /** F32 [1 x maxRows]. */
        public HostMirror teacherTails() {
            return teacherTails;
        }

        /** F32 [1 x maxRows] weight of each row's divergence in the objective; 0 leaves the row out. */
        public HostMirror weights() {
            return weights;
        }

        /** F32 [1 x maxRows] out: divergence of each row. */
        public HostMirror losses() {
            return losses;
        }
    }

    private final Ops ops;
    private final Drafter drafter;
    private final TensorArena arena;
    private final HostMirror features;
    /** The features in the drafter's type. */
    private final Tensor fused;
    private final Spans spans;
    private final Step[] steps;
    private final Tensor[] rotated;
    private final Tensor[] dRotated;
    private final LayerTape.Gradients scratch;
    private final Tensor logits;
    private final Tensor dX;
    private final Tensor dEmbedding;
    private final int hidden;

    /** Passes of {@code unroll} steps over up to {@code maxRows} rows, taught by the {@code topK} likeliest tokens. */
    public DrafterTraining(Ops ops, Drafter drafter, int maxRows, int maxSequences, int unroll, int topK) {
        this(ops, drafter, maxRows, maxSequences, unroll, topK,
            ActorTraining.logitRows(drafter.dtype(), drafter.config().vocabSize(), maxRows));
    }

    /** @param logitRows rows whose logits exist at a time */
    DrafterTraining(Ops ops, Drafter drafter, int maxRows, int maxSequences, int unroll, int topK, int logitRows) {
        this.ops = ops;
        this.drafter = drafter;
        this.hidden = drafter.config().hiddenSize();
        DType dtype = drafter.dtype();
        arena = ops.arena("drafter training");
        features = arena.mirror(DType.F32, maxRows, drafter.fuse.cols());
        fused = dtype == DType.F32 ? features.device() : arena.allocate(dtype, maxRows, drafter.fuse.cols());
        spans = Spans.allocate(arena, maxRows, maxSequences);
        steps = new Step[unroll];
        rotated = new Tensor[unroll];
        dRotated = new Tensor[unroll];
        for (int i = 0; i < unroll; i++) {
            steps[i] = new Step(arena, drafter, maxRows, topK);
            rotated[i] = steps[i].tape.rotated;
            dRotated[i] = steps[i].dRotated;
        }
        logits = arena.allocate(dtype, logitRows, drafter.config().vocabSize());
        scratch = new LayerTape.Gradients(arena, drafter.layer, maxRows);
        dX = arena.allocate(dtype, maxRows, hidden);
        dEmbedding = arena.allocate(dtype, maxRows, hidden);
    }

    /** Steps that the drafter is unrolled over. */
    public int unroll() {
        return steps.length;
    }

    /** F32 [maxRows x 3 hidden] features of the actor; fill and push. */
    public HostMirror features() {
        return features;
    }

    /** Where sequences lie in the rows; fill and push. */
    public Spans spans() {
        return spans;
    }

    /** What the {@code index}-th unrolled step takes, from 0. */
    public Step step(int index) {
        return steps[index];
    }

    /** Rows whose logits exist at a time. */
    public int logitRows() {
        return logits.rows();
    }

    /** Logits of a step's rows {@code from} to {@code to} after {@link #forward}, until the next call; {@link #loss} ends them. */
    public Tensor logits(int step, int from, int to) {
        ops.fastLinear(steps[step].normed.rows(from, to), drafter.headPacked, logits, false, to - from);
        return logits.rows(0, to - from);
    }

    /** Computes all steps up to the head. */
    public void forward(int sequences, int rows) {
        float eps = drafter.layer.eps;
        if (fused != features.device()) {
            ops.convert(features.device(), fused, rows);
        }
        for (int s = 0; s < steps.length; s++) {
            Step step = steps[s];
            if (s == 0) {
                ops.fastLinear(fused, drafter.fusePacked, step.hidden, false, rows);
            } else {
                ops.copy(steps[s - 1].output, step.hidden, rows);
            }
            ops.embedding(drafter.embedding, step.tokens.device(), step.embedded, rows);
            ops.rmsNorm(step.embedded, drafter.inputNorm, eps, step.tape.input.columns(0, hidden), rows);
            ops.copyRmsNorm(step.hidden, drafter.hiddenNorm, eps, step.output, null, step.tape.input.columns(hidden, 2 * hidden), rows);
            step.tape.forward(ops, drafter.layer, drafter.rope, rotated, s, spans, sequences, step.output, rows);
            ops.rmsNorm(step.output, drafter.finalNorm, eps, step.normed, rows);
        }
    }

    /**
     * Fills every step's losses: weighted divergence from the teacher, a blend of forward KL and, with weight {@code tvWeight}, total
     * variation. Adds the head's gradient to {@code gradients} and keeps that at its input for {@link #backward}.
     */
    public void loss(float temperature, float tvWeight, ParameterSet gradients, int rows) {
        for (int s = steps.length - 1; s >= 0; s--) {
            for (int from = 0; from < rows; from += logits.rows()) {
                loss(s, temperature, tvWeight, gradients.get("lm_head.weight"), from, Math.min(rows, from + logits.rows()));
            }
        }
    }

    private void loss(int s, float temperature, float tvWeight, Tensor headGradient, int from, int to) {
        Step step = steps[s];
        int count = to - from;
        Tensor inputs = step.normed.rows(from, to);
        ops.klDistill(logits(s, from, to), temperature, step.teacherIds.device().rows(from, to),
            step.teacherLogProbs.device().rows(from, to), step.teacherTails.device().columns(from, to), null, tvWeight,
            step.weights.device().columns(from, to), step.losses.device().columns(from, to), count);
        ops.linearBackwardWeight(logits, inputs, headGradient, count);
        ops.linearBackwardInput(logits, drafter.head, inputs, false, count);
    }

    /** Adds the gradients of all weights below the head, after {@link #loss}, to {@code gradients}. */
    public void backward(ParameterSet gradients, int sequences, int rows) {
        float eps = drafter.layer.eps;
        LayerTensors layer = LayerTensors.of(gradients, "midlayer.");
        Arrays.stream(dRotated).forEach(t -> ops.fill(t, 0f));
        ops.fill(dX, 0f);
        for (int s = steps.length - 1; s >= 0; s--) {
            Step step = steps[s];
            ops.rmsNormBackward(step.output, drafter.finalNorm, eps, step.normed, dX, true, gradients.get("norm.weight"), rows);
            step.tape.backward(ops, drafter.layer, layer, scratch, drafter.rope, rotated, dRotated, s, spans, sequences, dX, rows);
            ops.rmsNormBackward(step.embedded, drafter.inputNorm, eps, scratch.input.columns(0, hidden), dEmbedding, false,
                gradients.get("midlayer.input_layernorm.weight"), rows);
            ops.rmsNormBackward(step.hidden, drafter.hiddenNorm, eps, scratch.input.columns(hidden, 2 * hidden), dX, true,
                gradients.get("midlayer.hidden_norm.weight"), rows);
        }
        ops.linearBackwardWeight(dX, fused, gradients.get("fc.weight"), rows);
    }

    @Override
    public void close() {
        arena.close();
    }
}

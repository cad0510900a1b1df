package org.respec.engine.rl;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.PassFiller;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Next-token cross-entropy on the responses of demonstrations: how the actor is pretrained. */
public final class SupervisedTrainer implements AutoCloseable {
    /** A prompt with the response to imitate. */
    public record Demonstration(int[] prompt, int[] response) {
        int length() {
            return prompt.length + response.length;
        }

        int token(int position) {
            return position < prompt.length ? prompt[position] : response[position - prompt.length];
        }
    }

    private final Ops ops;
    private final Actor actor;
    private final AdamW optimizer;
    private final ActorTraining training;
    private final TensorArena arena;
    private final HostMirror targets;
    private final HostMirror logProbs;
    private final HostMirror weights;
    private final Tensor ones;

    /** @param maxRows most tokens of a batch */
    public SupervisedTrainer(Ops ops, Actor actor, AdamW optimizer, int maxRows) {
        this.ops = ops;
        this.actor = actor;
        this.optimizer = optimizer;
        training = new ActorTraining(ops, actor, maxRows, maxRows);
        arena = ops.arena("supervised loss");
        targets = arena.mirror(DType.I32, 1, maxRows);
        logProbs = arena.mirror(DType.F32, 1, maxRows);
        weights = arena.mirror(DType.F32, 1, maxRows);
        ones = arena.allocate(DType.F32, 1, maxRows);
        ops.fill(ones, 1f);
    }

    /** Adds the gradient of the mean loss per response token of {@code batch}, which must fit one pass; returns the mean loss. */
    public double gradients(List<Demonstration> batch) {
        PassFiller filler = new PassFiller(training.tokens(), training.spans());
        MemorySegment target = targets.host().host();
        MemorySegment weight = weights.host().host();
        long responseTokens = 0;
        for (Demonstration d : batch) {
            responseTokens += d.response().length;
        }
        int row = 0;
        for (Demonstration d : batch) {
            filler.beginSequence();
            for (int position = 0; position < d.length() - 1; position++, row++) {
                filler.addRow(d.token(position));
                target.setAtIndex(ValueLayout.JAVA_INT, row, d.token(position + 1));
                weight.setAtIndex(ValueLayout.JAVA_FLOAT, row, position >= d.prompt().length - 1 ? 1f / responseTokens : 0f);
            }
        }
        filler.push(ops);
        ops.push(targets, row);
        ops.push(weights, row);
        training.forward(batch.size(), row);
        training.loss(targets.device(), 1f, PolicyTerms.crossEntropy(weights.device(), ones), logProbs.device(), optimizer.gradients(),
            row);
        ops.pull(logProbs, row);
        double loss = 0;
        MemorySegment values = logProbs.host().host();
        for (int i = 0; i < row; i++) {
            loss -= values.getAtIndex(ValueLayout.JAVA_FLOAT, i) * (double) weight.getAtIndex(ValueLayout.JAVA_FLOAT, i);
        }
        training.backward(optimizer.gradients(), batch.size(), row);
        return loss;
    }

    /** One optimizer step on {@code batch}; publishes the actor; returns the mean loss before the step. */
    public double step(List<Demonstration> batch, float learningRate) {
        double loss = gradients(batch);
        optimizer.step(learningRate);
        actor.repack();
        return loss;
    }

    @Override
    public void close() {
        training.close();
        arena.close();
    }
}

package org.respec.engine.rl;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.PassFiller;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;

/** GRPO updates of an actor: packs trajectories into passes, turns the loss into gradients, steps the optimizer. */
public final class PolicyTrainer implements AutoCloseable {
    /**
     * How one iteration's trajectories are used.
     *
     * @param miniBatches optimizer steps per pass over the trajectories
     * @param epochs passes over the trajectories
     * @param perSequence whether each sequence, rather than each token, weighs the same
     * @param temperature of the rollout, under which log-probabilities are compared
     */
    public record Schedule(int miniBatches, int epochs, boolean perSequence, float temperature) {
    }

    /**
     * What an update did.
     *
     * @param loss mean loss per token (or sequence)
     * @param gradNorm mean gradient norm before clipping
     * @param clipFraction share of tokens whose ratio was cut
     * @param mismatch mean absolute difference between log-probabilities of training and rollout before the first step
     */
    public record Report(double loss, double gradNorm, double clipFraction, double mismatch) {
    }

    private final Ops ops;
    private final ActorTraining training;
    private final Actor actor;
    private final ActorTraining reference;
    private final AdamW optimizer;
    private final PolicyLoss loss;
    private final Schedule schedule;
    private final TensorArena arena;
    private final HostMirror targets;
    private final HostMirror logProbs;
    private final HostMirror coefficients;
    private final int maxSequences;

    /**
     * @param reference the frozen policy for the KL term, or null if its coefficient is 0; not closed here
     * @param maxRows most rows of one pass; every trajectory must fit
     */
    public PolicyTrainer(Ops ops, Actor actor, Actor reference, AdamW optimizer, PolicyLoss loss, Schedule schedule, int maxRows) {
        if (loss.klCoefficient() != 0 && reference == null) {
            throw new IllegalArgumentException("a KL term without a reference policy");
        }
        this.ops = ops;
        this.actor = actor;
        this.optimizer = optimizer;
        this.loss = loss;
        this.schedule = schedule;
        this.maxSequences = maxRows;
        training = new ActorTraining(ops, actor, maxRows, maxSequences);
        this.reference = loss.klCoefficient() == 0 ? null : new ActorTraining(ops, reference, maxRows, maxSequences);
        arena = ops.arena("policy loss");
        targets = arena.mirror(DType.I32, 1, maxRows);
        logProbs = arena.mirror(DType.F32, 1, maxRows);
        coefficients = arena.mirror(DType.F32, 1, maxRows);
    }

    /** One iteration's updates; publishes the actor's new weights. */
    public Report update(List<Trajectory> trajectories, float[] advantages, float learningRate) {
        double lossSum = 0;
        double normSum = 0;
        long clipped = 0;
        long tokens = 0;
        double mismatch = 0;
        int steps = 0;
        for (int epoch = 0; epoch < schedule.epochs(); epoch++) {
            for (int part = 0; part < schedule.miniBatches(); part++) {
                int from = (int) ((long) trajectories.size() * part / schedule.miniBatches());
                int to = (int) ((long) trajectories.size() * (part + 1) / schedule.miniBatches());
                Tally tally = gradients(trajectories, advantages, from, to);
                normSum += optimizer.step(learningRate);
                actor.publish();
                lossSum += tally.loss;
                clipped += tally.clipped;
                tokens += tally.tokens;
                if (steps++ == 0) {
                    mismatch = tally.tokens == 0 ? 0 : tally.mismatch / tally.tokens;
                }
            }
        }
        return new Report(lossSum / steps, normSum / steps, tokens == 0 ? 0 : (double) clipped / tokens, mismatch);
    }

    /** Adds the gradient of the loss over all trajectories to the optimizer's gradients, without a step; returns the loss. */
    public double accumulate(List<Trajectory> trajectories, float[] advantages) {
        return gradients(trajectories, advantages, 0, trajectories.size()).loss;
    }

    private static final class Tally {
        double loss;
        long clipped;
        long tokens;
        double mismatch;
    }

    private Tally gradients(List<Trajectory> trajectories, float[] advantages, int from, int to) {
        long total = 0;
        for (int i = from; i < to; i++) {
            total += trajectories.get(i).response().length;
        }
        Tally tally = new Tally();
        List<Integer> pack = new ArrayList<>();
        int rows = 0;
        for (int i = from; i < to; i++) {
            // Without a KL term a trajectory of advantage 0 adds nothing to any gradient.
            if (advantages[i] == 0 && loss.klCoefficient() == 0) {
                continue;
            }
            int need = trajectories.get(i).length() - 1;
            if (need > training.maxRows()) {
                throw new BadInput("train.micro_batch_tokens: " + training.maxRows() + " is less than a trajectory of " + need
                    + " tokens; raise it.");
            }
            if (rows + need > training.maxRows()) {
                pass(trajectories, advantages, pack, rows, total, to - from, tally);
                pack.clear();
                rows = 0;
            }
            pack.add(i);
            rows += need;
        }
        if (!pack.isEmpty()) {
            pass(trajectories, advantages, pack, rows, total, to - from, tally);
        }
        return tally;
    }

    private void pass(List<Trajectory> trajectories, float[] advantages, List<Integer> pack, int rows, long totalTokens, int totalSequences,
                      Tally tally) {
        fill(training, trajectories, pack, rows);
        ops.push(targets, rows);
        training.forward(pack.size(), rows);
        ops.logProbs(training.logits(), targets.device(), schedule.temperature(), logProbs.device(), rows);
        ops.pull(logProbs, rows);
        float[] current = read(logProbs, rows);
        float[] anchor = current;
        if (reference != null) {
            fill(reference, trajectories, pack, rows);
            reference.forward(pack.size(), rows);
            ops.logProbs(reference.logits(), targets.device(), schedule.temperature(), logProbs.device(), rows);
            ops.pull(logProbs, rows);
            anchor = read(logProbs, rows);
        }
        MemorySegment out = coefficients.host().host();
        int row = 0;
        for (int index : pack) {
            Trajectory t = trajectories.get(index);
            float advantage = advantages[index];
            double weight = schedule.perSequence() ? 1.0 / ((double) totalSequences * t.response().length) : 1.0 / totalTokens;
            int firstTarget = t.prompt().length - 1;
            for (int position = 0; position < t.length() - 1; position++, row++) {
                float coefficient = 0;
                if (position >= firstTarget) {
                    float old = t.logProbs()[position - firstTarget];
                    coefficient = (float) (weight * loss.derivative(advantage, current[row], old, anchor[row]));
                    tally.loss += weight * loss.value(advantage, current[row], old, anchor[row]);
                    tally.mismatch += Math.abs(current[row] - old);
                    tally.clipped += loss.clipped(advantage, current[row], old) ? 1 : 0;
                    tally.tokens++;
                }
                out.setAtIndex(ValueLayout.JAVA_FLOAT, row, coefficient);
            }
        }
        ops.push(coefficients, rows);
        ops.logProbsBackward(training.logits(), targets.device(), schedule.temperature(), coefficients.device(), rows);
        training.backward(optimizer.gradients(), pack.size(), rows);
    }

    private void fill(ActorTraining pass, List<Trajectory> trajectories, List<Integer> pack, int rows) {
        MemorySegment target = targets.host().host();
        PassFiller filler = new PassFiller(pass.tokens(), pass.spans());
        int row = 0;
        for (int index : pack) {
            Trajectory t = trajectories.get(index);
            filler.beginSequence();
            for (int position = 0; position < t.length() - 1; position++) {
                filler.addRow(t.token(position));
                target.setAtIndex(ValueLayout.JAVA_INT, row++, t.token(position + 1));
            }
        }
        filler.push(ops);
    }

    private static float[] read(HostMirror mirror, int count) {
        float[] values = new float[count];
        MemorySegment.copy(mirror.host().host(), ValueLayout.JAVA_FLOAT, 0, values, 0, count);
        return values;
    }

    @Override
    public void close() {
        training.close();
        if (reference != null) {
            reference.close();
        }
        arena.close();
    }
}

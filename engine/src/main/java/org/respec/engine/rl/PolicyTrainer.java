package org.respec.engine.rl;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.respec.engine.BadInput;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.PassFiller;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.Ops;
import org.respec.kernels.OutOfDeviceMemory;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.SamplingParams;

/**
 * GRPO updates of an actor: packs trajectories into passes, turns the loss into gradients, steps the optimizer.
 *
 * <p>Rollout and training may give a token different log-probabilities: they round in different places, and more so in BF16. With an
 * importance cap, tokens weigh min(exp(training - rollout), cap) and ratios are relative to what training itself said before the
 * update (decoupled PPO; Hilton et al., 2022; truncation as in TIS; Yao et al., 2025). Without one, ratios are relative to the rollout;
 * but where sampling left tokens out, the rollout's log-probabilities are of what was kept, training's of all tokens: then ratios are
 * relative to training in any case.
 */
public final class PolicyTrainer implements AutoCloseable {
    /**
     * How one iteration's trajectories are used.
     *
     * @param miniBatches optimizer steps per pass over the trajectories
     * @param epochs passes over the trajectories
     * @param perSequence whether each sequence, rather than each token, weighs the same
     * @param sampling of the rollout, under whose temperature log-probabilities are compared
     * @param importanceCap largest importance weight; 0 for no importance weights
     */
    public record Schedule(int miniBatches, int epochs, boolean perSequence, SamplingParams sampling, float importanceCap) {
        /** Without importance weights. */
        public Schedule(int miniBatches, int epochs, boolean perSequence, SamplingParams sampling) {
            this(miniBatches, epochs, perSequence, sampling, 0f);
        }

        /** Whether ratios are relative to what training said before the update, rather than to the rollout. */
        boolean relativeToTraining() {
            return importanceCap > 0 || sampling.filters();
        }

        float temperature() {
            return sampling.temperature();
        }

        int steps() {
            return miniBatches * epochs;
        }
    }

    /**
     * What an update did.
     *
     * @param loss mean loss per token (or sequence) of the steps taken; NaN where none was
     * @param gradNorm mean gradient norm of the steps taken, before clipping; NaN where none was
     * @param clipFraction share of tokens whose ratio was cut, of those that were looked at: without a KL term trajectories of advantage 0
     *     are not; NaN where there were none
     * @param mismatch between training and rollout, over the first step's tokens that were looked at, before that step; null where there
     *     were none, or sampling left tokens out
     * @param skippedSteps steps that left the weights alone, for their gradient was not finite
     */
    public record Report(double loss, double gradNorm, double clipFraction, Mismatch mismatch, int skippedSteps) {
    }

    private final Ops ops;
    private final Actor actor;
    private final Actor reference;
    private final AdamW optimizer;
    private final PolicyLoss loss;
    private final Schedule schedule;
    private final ActorTraining.Keep keep;
    private final boolean lasting;
    private int maxRows;
    private Passes passes;

    /** Passes that keep all activations. */
    public PolicyTrainer(Ops ops, Actor actor, Actor reference, AdamW optimizer, PolicyLoss loss, Schedule schedule, int maxRows) {
        this(ops, actor, reference, optimizer, loss, schedule, maxRows, ActorTraining.Keep.ALL, true);
    }

    /**
     * @param reference the frozen policy for the KL term, or null if its coefficient is 0; not closed here
     * @param maxRows most rows of one pass, fewer after the device had no memory for so many; every trajectory must fit
     * @param lasting whether passes keep their memory between updates
     */
    public PolicyTrainer(Ops ops, Actor actor, Actor reference, AdamW optimizer, PolicyLoss loss, Schedule schedule, int maxRows,
                         ActorTraining.Keep keep, boolean lasting) {
        if (loss.klCoefficient() != 0 && reference == null) {
            throw new IllegalArgumentException("a KL term without a reference policy");
        }
        this.ops = ops;
        this.actor = actor;
        this.optimizer = optimizer;
        this.loss = loss;
        this.schedule = schedule;
        this.reference = loss.klCoefficient() == 0 ? null : reference;
        this.keep = keep;
        this.lasting = lasting;
        this.maxRows = maxRows;
    }

    /** Memory of passes of some size; {@code reference} is null without a KL term. */
    private record Passes(ActorTraining training, ActorTraining reference, PolicyRows lossRows) {
        void close() {
            training.close();
            if (reference != null) {
                reference.close();
            }
            lossRows.close();
        }
    }

    private Passes open() {
        ActorTraining training = new ActorTraining(ops, actor, maxRows, maxRows, keep);
        ActorTraining anchor = null;
        try {
            anchor = reference == null ? null : new ActorTraining(ops, reference, maxRows, maxRows, ActorTraining.Keep.NOTHING);
            return new Passes(training, anchor, new PolicyRows(ops, maxRows));
        } catch (OutOfDeviceMemory e) {
            training.close();
            if (anchor != null) {
                anchor.close();
            }
            throw e;
        }
    }

    /** Most rows of one pass now. */
    public int maxRows() {
        return maxRows;
    }

    /** Takes the memory of passes now rather than at the first update, if it is to last. */
    public void reserve() {
        if (lasting) {
            attempt(List.of(), () -> null);
        }
    }

    /**
     * Runs work that passes take part in. Where the device has no memory for it, passes get half as many rows and the work begins again:
     * it must have done nothing that may not be done twice, but for adding to gradients, which are cleared.
     */
    private <T> T attempt(List<Trajectory> trajectories, Supplier<T> work) {
        while (true) {
            try {
                passes = passes == null ? open() : passes;
                return work.get();
            } catch (OutOfDeviceMemory e) {
                int longest = trajectories.stream().mapToInt(t -> t.length() - 1).max().orElse(1);
                release();
                if (maxRows <= longest) {
                    throw new BadInput("train.micro_batch_tokens: the device has no memory for training passes of " + maxRows
                        + " tokens, as the longest response needs (" + e.getMessage()
                        + "); lower rollout.kv_pages or rollout.max_tokens, or set train.checkpoint_activations=true.", e);
                }
                maxRows = Math.max(longest, maxRows / 2);
                optimizer.gradients().fill(0f);
            }
        }
    }

    /** Gives the memory of passes back; the next update takes it again. */
    private void release() {
        if (passes != null) {
            passes.close();
            passes = null;
        }
    }

    /** One iteration's updates; publishes the actor's new weights. */
    public Report update(List<Trajectory> trajectories, float[] advantages, float learningRate) {
        try {
            return steps(new Batch(trajectories, advantages, 0, trajectories.size(), null), learningRate);
        } finally {
            if (!lasting) {
                release();
            }
        }
    }

    private Report steps(Batch all, float learningRate) {
        if (schedule.relativeToTraining() && schedule.steps() > 1) {
            Batch batch = all;
            all = all.relativeTo(attempt(batch.trajectories, () -> logProbs(batch)));
        }
        double lossSum = 0;
        double normSum = 0;
        long clipped = 0;
        long tokens = 0;
        int taken = 0;
        Mismatch mismatch = null;
        for (int epoch = 0; epoch < schedule.epochs(); epoch++) {
            for (int part = 0; part < schedule.miniBatches(); part++) {
                Batch batch = all.part(part, schedule.miniBatches());
                Tally tally = attempt(batch.trajectories, () -> gradients(batch));
                // A later step's weights are others than the rollout's, whatever the first one had to look at.
                mismatch = epoch == 0 && part == 0 ? tally.mismatch.result() : mismatch;
                clipped += tally.clipped;
                tokens += tally.tokens;
                double norm = optimizer.step(learningRate);
                actor.repack();
                if (Double.isFinite(norm)) {
                    normSum += norm;
                    lossSum += tally.loss;
                    taken++;
                }
            }
        }
        // Nothing over nothing is NaN.
        return new Report(lossSum / taken, normSum / taken, (double) clipped / tokens, mismatch, schedule.steps() - taken);
    }

    /** Adds the gradient of the loss over all trajectories to the optimizer's gradients, without a step; returns the loss. */
    public double accumulate(List<Trajectory> trajectories, float[] advantages) {
        Batch batch = new Batch(trajectories, advantages, 0, trajectories.size(), null);
        return attempt(trajectories, () -> gradients(batch)).loss;
    }

    /**
     * Trajectories {@code from} to {@code to} of an iteration.
     *
     * @param proximal log-probabilities of each trajectory's response in training, before the update; null if not computed
     */
    private record Batch(List<Trajectory> trajectories, float[] advantages, int from, int to, float[][] proximal) {
        Batch relativeTo(float[][] logProbs) {
            return new Batch(trajectories, advantages, from, to, logProbs);
        }

        Batch part(int index, int parts) {
            int size = trajectories.size();
            return new Batch(trajectories, advantages, (int) ((long) size * index / parts), (int) ((long) size * (index + 1) / parts),
                proximal);
        }

        long tokens() {
            return trajectories.subList(from, to).stream().mapToLong(t -> t.response().length).sum();
        }
    }

    private static final class Tally {
        double loss;
        long clipped;
        long tokens;
        final Mismatch.Sums mismatch = new Mismatch.Sums();
    }

    /** Numbers of the trajectories of each pass. */
    private List<List<Integer>> packs(Batch batch) {
        List<List<Integer>> packs = new ArrayList<>();
        List<Integer> pack = new ArrayList<>();
        int rows = 0;
        for (int i = batch.from; i < batch.to; i++) {
            // Without a KL term a trajectory of advantage 0 adds nothing to any gradient.
            if (batch.advantages[i] == 0 && loss.klCoefficient() == 0) {
                continue;
            }
            int need = batch.trajectories.get(i).length() - 1;
            if (need > maxRows) {
                throw new BadInput("train.micro_batch_tokens: " + maxRows + " is less than a trajectory of " + need
                    + " tokens; raise it.");
            }
            if (rows + need > maxRows) {
                packs.add(pack);
                pack = new ArrayList<>();
                rows = 0;
            }
            pack.add(i);
            rows += need;
        }
        if (!pack.isEmpty()) {
            packs.add(pack);
        }
        return packs;
    }

    private Tally gradients(Batch batch) {
        Tally tally = new Tally();
        long tokens = batch.tokens();
        for (List<Integer> pack : packs(batch)) {
            pass(batch, pack, tokens, tally);
        }
        return tally;
    }

    /** Log-probabilities of all responses in training as it is now. */
    private float[][] logProbs(Batch batch) {
        float[][] all = new float[batch.trajectories.size()][];
        for (List<Integer> pack : packs(batch)) {
            int rows = fill(passes.training, batch, pack);
            passes.training.forward(pack.size(), rows);
            passes.training.logProbs(passes.lossRows.targets(), schedule.temperature(), passes.lossRows.logProbs(), rows);
            float[] current = passes.lossRows.pullLogProbs(rows);
            int row = 0;
            for (int index : pack) {
                Trajectory t = batch.trajectories.get(index);
                row += t.prompt().length - 1;
                all[index] = new float[t.response().length];
                System.arraycopy(current, row, all[index], 0, all[index].length);
                row += all[index].length;
            }
        }
        return all;
    }

    private void pass(Batch batch, List<Integer> pack, long totalTokens, Tally tally) {
        float[] anchor = null;
        ActorTraining training = passes.training;
        ActorTraining reference = passes.reference;
        PolicyRows lossRows = passes.lossRows;
        int rows = fill(training, batch, pack);
        if (reference != null) {
            fill(reference, batch, pack);
            reference.forward(pack.size(), rows);
            reference.logProbs(lossRows.targets(), schedule.temperature(), lossRows.reference(), rows);
            anchor = lossRows.pullReference(rows);
        }
        training.forward(pack.size(), rows);
        training.loss(lossRows.targets(), schedule.temperature(), terms(batch, pack, totalTokens), lossRows.logProbs(),
            optimizer.gradients(), rows);
        float[] current = lossRows.pullLogProbs(rows);
        training.backward(optimizer.gradients(), pack.size(), rows);
        int row = 0;
        for (int index : pack) {
            Trajectory t = batch.trajectories.get(index);
            double weight = weight(batch, t, totalTokens);
            row += t.prompt().length - 1;
            for (int i = 0; i < t.response().length; i++, row++) {
                float drawn = t.logProbs()[i];
                float old = drawn;
                if (schedule.relativeToTraining()) {
                    old = batch.proximal == null ? current[row] : batch.proximal[index][i];
                }
                double importance = schedule.importanceCap() > 0 ? Math.min(Math.exp(old - drawn), schedule.importanceCap()) : 1;
                float advantage = batch.advantages[index];
                tally.loss += weight * importance * loss.value(advantage, current[row], old, anchor == null ? current[row] : anchor[row]);
                tally.clipped += loss.clipped(advantage, current[row], old) ? 1 : 0;
                tally.tokens++;
                if (!schedule.sampling().filters()) {
                    tally.mismatch.add(current[row], drawn);
                }
            }
        }
    }

    private double weight(Batch batch, Trajectory t, long totalTokens) {
        return schedule.perSequence() ? 1.0 / ((double) (batch.to - batch.from) * t.response().length) : 1.0 / totalTokens;
    }

    private PolicyTerms terms(Batch batch, List<Integer> pack, long totalTokens) {
        boolean relative = schedule.relativeToTraining();
        PolicyRows lossRows = passes.lossRows;
        lossRows.begin();
        for (int index : pack) {
            Trajectory t = batch.trajectories.get(index);
            lossRows.skip(t.prompt().length - 1);
            float weight = (float) weight(batch, t, totalTokens);
            for (int i = 0; i < t.response().length; i++) {
                float old = relative && batch.proximal != null ? batch.proximal[index][i] : t.logProbs()[i];
                lossRows.add(weight, batch.advantages[index], old, t.logProbs()[i]);
            }
        }
        return lossRows.terms(loss, !relative || batch.proximal != null, schedule.importanceCap());
    }

    /** Brings a pack's tokens and targets to the device; returns the number of rows. */
    private int fill(ActorTraining pass, Batch batch, List<Integer> pack) {
        PolicyRows lossRows = passes.lossRows;
        PassFiller filler = new PassFiller(pass.tokens(), pass.spans());
        for (int index : pack) {
            Trajectory t = batch.trajectories.get(index);
            filler.beginSequence();
            for (int position = 0; position < t.length() - 1; position++) {
                lossRows.target(filler.rows(), t.token(position + 1));
                filler.addRow(t.token(position));
            }
        }
        filler.push(ops);
        lossRows.pushTargets(filler.rows());
        return filler.rows();
    }

    @Override
    public void close() {
        release();
    }
}

package org.respec.engine.distill;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterTraining;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.PassFiller;
import org.respec.engine.rl.AdamW;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;

/**
 * Reward-weighted distillation of the actor into the drafter (ReSpec, section 5.3; unrolling after EAGLE-3), from the by-products of
 * verification. The order in which entries are visited is a function of seed and update number alone. An update is made whole or not
 * at all: after one that met a number that is not finite, or that threw, weights, moments and step count are what they were before.
 */
public final class DraftLearner implements AutoCloseable {
    /**
     * How an update learns.
     *
     * @param steps optimizer steps per update; 0 for as many as one pass over the entries takes
     * @param batchRows rows of one step
     * @param share of the buffer's rows that an update draws from, the newest ones; 1 for all
     * @param unrollDecay weight of each further unrolled step relative to the one before
     * @param tvWeight share of total variation in the loss; the rest is forward KL
     * @param temperature of the rollout, at which the teacher's log-probabilities were taken
     * @param warmupSteps optimizer steps over which the learning rate rises to its full height
     */
    public record Settings(int steps, int batchRows, double share, float unrollDecay, float tvWeight, float temperature,
                           float learningRate, int warmupSteps, long seed) {
        /** Whole buffer, forward KL, no warm-up. */
        public static Settings plain(int steps, int batchRows, float unrollDecay, float temperature, float learningRate, long seed) {
            return new Settings(steps, batchRows, 1, unrollDecay, 0f, temperature, learningRate, 0, seed);
        }
    }

    /**
     * What an update came to.
     *
     * @param divergence mean loss of the first unrolled step
     * @param gradNorm mean gradient norm before clipping
     * @param rows learnt from
     * @param kept false if a loss or a gradient was not finite, so that the whole update was undone
     */
    public record Report(double divergence, double gradNorm, long rows, boolean kept) {
    }

    private final Ops ops;
    private final Drafter drafter;
    private final DrafterTraining training;
    private final AdamW optimizer;
    private final Settings settings;
    private final ReplayBuffer replay;
    /** Weights, first and second moments before the update in progress. */
    private final List<ParameterSet> saved;
    private int savedSteps;
    private boolean unfinished;

    /**
     * @param drafter taught in place
     * @param optimizer of the drafter's weights; it stays the caller's to close
     * @param unroll draft steps that a row is taught through
     */
    public DraftLearner(Ops ops, Drafter drafter, AdamW optimizer, ReplayBuffer replay, int unroll, Settings settings) {
        this.ops = ops;
        this.drafter = drafter;
        this.optimizer = optimizer;
        this.replay = replay;
        this.settings = settings;
        this.training = new DrafterTraining(ops, drafter, settings.batchRows(), settings.batchRows(), unroll, replay.topK());
        this.saved = live().stream().map(set -> new ParameterSet(ops, "before the update", set.specs())).toList();
    }

    private List<ParameterSet> live() {
        return List.of(drafter.weights(), optimizer.firstMoments(), optimizer.secondMoments());
    }

    /** Takes the configured steps over the buffer in a fresh order; the drafter that is taught has the new weights packed. */
    public Report update(long number) {
        settle();
        List<ParameterSet> live = live();
        for (int i = 0; i < live.size(); i++) {
            saved.get(i).copyFrom(live.get(i));
        }
        savedSteps = optimizer.steps();
        unfinished = true;
        Report report = learn(number);
        unfinished = !report.kept;
        settle();
        return report;
    }

    /** Undoes an update that did not end well. */
    void settle() {
        if (!unfinished) {
            return;
        }
        List<ParameterSet> live = live();
        for (int i = 0; i < live.size(); i++) {
            live.get(i).copyFrom(saved.get(i));
        }
        optimizer.restore(savedSteps);
        optimizer.gradients().fill(0f);
        drafter.publish();
        unfinished = false;
    }

    private Report learn(long number) {
        List<ReplayBuffer.Entry> order = shuffled(number);
        double divergence = 0;
        double weight = 0;
        double norm = 0;
        long rows = 0;
        int at = 0;
        int steps = 0;
        boolean onePass = settings.steps() == 0;
        while (onePass ? at < order.size() : steps < settings.steps() && !order.isEmpty()) {
            List<ReplayBuffer.Entry> batch = new ArrayList<>();
            int used = 0;
            int looked = 0;
            while (looked++ < order.size() && !(onePass && at == order.size())) {
                ReplayBuffer.Entry entry = order.get(at % order.size());
                if (entry.rows() > settings.batchRows()) {
                    at++;
                    continue;
                }
                if (used + entry.rows() > settings.batchRows()) {
                    break;
                }
                batch.add(entry);
                used += entry.rows();
                at++;
            }
            if (batch.isEmpty()) {
                break;
            }
            double[] sums = step(batch, used);
            divergence += sums[0];
            weight += sums[1];
            double gradient = Double.isFinite(sums[0]) ? optimizer.step(learningRate()) : Double.NaN;
            norm += gradient;
            rows += used;
            steps++;
            if (!Double.isFinite(gradient)) {
                return new Report(divergence / Math.max(1, weight), norm / steps, rows, false);
            }
            drafter.repack();
        }
        return new Report(weight == 0 ? 0 : divergence / weight, steps == 0 ? 0 : norm / steps, rows, true);
    }

    private float learningRate() {
        int warm = settings.warmupSteps();
        return warm == 0 ? settings.learningRate() : settings.learningRate() * Math.min(1f, (optimizer.steps() + 1f) / warm);
    }

    private List<ReplayBuffer.Entry> shuffled(long number) {
        List<ReplayBuffer.Entry> entries = replay.newest(settings.share());
        record Keyed(long key, ReplayBuffer.Entry entry) {
        }
        List<Keyed> keyed = new ArrayList<>();
        for (int i = 0; i < entries.size(); i++) {
            keyed.add(new Keyed(NoiseField.bits(settings.seed(), number, i), entries.get(i)));
        }
        keyed.sort(Comparator.comparingLong(Keyed::key));
        return keyed.stream().map(Keyed::entry).toList();
    }

    /** Gradients of one batch; returns the weighted divergence of the first step and the weight it was summed with. */
    private double[] step(List<ReplayBuffer.Entry> batch, int rows) {
        int unroll = training.unroll();
        fill(batch);
        double total = normaliser(batch, unroll);
        MemorySegment[] weights = new MemorySegment[unroll];
        for (int s = 0; s < unroll; s++) {
            weights[s] = training.step(s).weights().host().host();
        }
        int row = 0;
        for (ReplayBuffer.Entry entry : batch) {
            for (int t = 0; t < entry.rows(); t++, row++) {
                for (int s = 0; s < unroll; s++) {
                    boolean taught = taught(entry, t, s);
                    float w = taught ? (float) (entry.weight() * Math.pow(settings.unrollDecay(), s) / total) : 0f;
                    weights[s].setAtIndex(ValueLayout.JAVA_FLOAT, row, w);
                }
            }
        }
        for (int s = 0; s < unroll; s++) {
            ops.push(training.step(s).weights(), rows);
        }
        training.forward(batch.size(), rows);
        training.loss(settings.temperature(), settings.tvWeight(), optimizer.gradients(), rows);
        training.backward(optimizer.gradients(), batch.size(), rows);
        return firstStepLoss(batch, rows);
    }

    /** Whether step s of row t has a teacher: the actor's distribution at row t + 1 + s. */
    private static boolean taught(ReplayBuffer.Entry entry, int t, int s) {
        int teacher = t + 1 + s;
        return teacher >= entry.firstTaught() && teacher < entry.rows();
    }

    private double normaliser(List<ReplayBuffer.Entry> batch, int unroll) {
        double total = 0;
        for (ReplayBuffer.Entry entry : batch) {
            for (int t = 0; t < entry.rows(); t++) {
                for (int s = 0; s < unroll; s++) {
                    total += taught(entry, t, s) ? Math.pow(settings.unrollDecay(), s) : 0;
                }
            }
        }
        return Math.max(total, 1e-12);
    }

    private double[] firstStepLoss(List<ReplayBuffer.Entry> batch, int rows) {
        DrafterTraining.Step first = training.step(0);
        ops.pull(first.losses(), rows);
        MemorySegment losses = first.losses().host().host();
        double sum = 0;
        double weight = 0;
        int row = 0;
        for (ReplayBuffer.Entry entry : batch) {
            for (int t = 0; t < entry.rows(); t++, row++) {
                if (taught(entry, t, 0)) {
                    sum += losses.getAtIndex(ValueLayout.JAVA_FLOAT, row);
                    weight++;
                }
            }
        }
        return new double[] {sum, weight};
    }

    private void fill(List<ReplayBuffer.Entry> batch) {
        int width = replay.width();
        int topK = replay.topK();
        int unroll = training.unroll();
        MemorySegment features = training.features().host().host();
        PassFiller filler = new PassFiller(training.step(0).tokens(), training.spans());
        int row = 0;
        for (ReplayBuffer.Entry entry : batch) {
            filler.beginSequence();
            MemorySegment.copy(replay.features(), 4L * entry.start() * width, features, 4L * row * width, 4L * entry.rows() * width);
            for (int t = 0; t < entry.rows(); t++, row++) {
                filler.addRow(entry.tokens()[t + 1]);
                for (int s = 0; s < unroll; s++) {
                    DrafterTraining.Step step = training.step(s);
                    if (s > 0) {
                        int token = t + 1 + s < entry.tokens().length ? entry.tokens()[t + 1 + s] : 0;
                        step.tokens().host().host().setAtIndex(ValueLayout.JAVA_INT, row, token);
                    }
                    // Rows without a teacher have weight 0 and need valid ids only.
                    long from = entry.start() + (taught(entry, t, s) ? t + 1 + s : entry.rows() - 1L);
                    MemorySegment.copy(replay.ids(), 4L * from * topK, step.teacherIds().host().host(), 4L * row * topK, 4L * topK);
                    MemorySegment.copy(replay.logProbs(), 4L * from * topK, step.teacherLogProbs().host().host(), 4L * row * topK,
                        4L * topK);
                    step.teacherTails().host().host().setAtIndex(ValueLayout.JAVA_FLOAT, row, replay.tail(from));
                }
            }
        }
        filler.push(ops);
        ops.push(training.features(), (long) row * width);
        for (int s = 0; s < unroll; s++) {
            DrafterTraining.Step step = training.step(s);
            if (s > 0) {
                ops.push(step.tokens(), row);
            }
            ops.push(step.teacherIds(), (long) row * topK);
            ops.push(step.teacherLogProbs(), (long) row * topK);
            ops.push(step.teacherTails(), row);
        }
    }

    @Override
    public void close() {
        training.close();
        saved.forEach(ParameterSet::close);
    }
}

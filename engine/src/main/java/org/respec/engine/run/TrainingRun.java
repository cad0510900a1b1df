package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.distill.DrafterHealth;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.distill.RewardWeights;
import org.respec.engine.rl.Advantages;
import org.respec.engine.rl.Evaluator;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.Drafting;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.SpeedComparison;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.task.Problem;

/**
 * The main job: iterations of rollout, GRPO step and drafter learning, with evaluations, metrics and checkpoints. Actor weights and
 * trajectories are a function of config and seed alone, whatever is speculated, batched or distilled.
 */
public final class TrainingRun implements AutoCloseable {
    /** Who watches a run; called on the running thread. */
    public interface Listener {
        /** Before anything is computed. */
        default void started(int firstIteration, int iterations) {
        }

        /** After every iteration, with what was written to {@code metrics.jsonl}. */
        default void iterated(ObjectNode metrics) {
        }

        /** Something to know about how the run goes, in a sentence. */
        default void note(String sentence) {
        }

        /** That learning goes wrong, in a sentence; also in {@code metrics.jsonl} and {@code summary.json}. */
        default void alarm(String sentence) {
            note(sentence);
        }
    }

    /** Request numbers of the closing speed comparison; see also {@link Evaluator}. */
    private static final long COMPARISON_REQUEST = 1L << 41;
    private static final int COMPARISON_ROUNDS = 5;

    private final RunParts parts;
    private final RunMetrics metrics;
    private final RunCheckpoints checkpoints;
    private final MetricsLog log;
    private final List<String> newAlarms = new ArrayList<>();
    /** What is to be said before the first iteration. */
    private final List<String> notes = new ArrayList<>();
    private final RunState state = new RunState();
    /** Steps that the actor's last update skipped. */
    private int skipped;
    private final ProcessCpuShare load = new ProcessCpuShare();

    /**
     * Loads models, takes the run folder and, if {@code resume}, the newest whole checkpoint in it.
     *
     * @throws BadInput for anything wrong with the config, the model files or the folder
     */
    public TrainingRun(RunConfig config, boolean resume) {
        this(config, resume, Preparation.NONE);
    }

    /** The same with something done before anything is timed or computed. */
    public TrainingRun(RunConfig config, boolean resume, Preparation preparation) {
        this(config, resume, OnlineDrafter.Wiring.plain(), preparation);
    }

    TrainingRun(RunConfig config, boolean resume, OnlineDrafter.Wiring wiring, Preparation preparation) {
        parts = new RunParts(config, resume, wiring, preparation, newAlarms::add);
        boolean built = false;
        try {
            metrics = new RunMetrics(parts, state);
            checkpoints = new RunCheckpoints(parts, state);
            notes.addAll(parts.changes);
            if (resume) {
                // A run that was killed before its first checkpoint begins again.
                notes.addAll(checkpoints.restore());
            }
            parts.folder.writeConfig(config.toJson());
            log = parts.own(MetricsLog.open(parts.folder.path().resolve("metrics.jsonl"), state.iteration));
            built = true;
        } finally {
            if (!built) {
                parts.close();
            }
        }
    }

    /** Where an earlier run in the same folder was moved to, or null. */
    public Path earlierRun() {
        return parts.folder.earlier();
    }

    /** What the run takes of the device's memory; null where nobody counts it. */
    MemoryPlan memory() {
        return parts.memory;
    }

    /** What is left of it. */
    long freeBytes() {
        return parts.ops.freeBytes();
    }

    /** The device the run computes on, in words. */
    public String device() {
        return parts.ops.device();
    }

    // ---------------------------------------------------------------------------------------------------------- the run

    /** Runs what is left of the configured iterations and writes the trained models and {@code summary.json}, which is also returned. */
    public ObjectNode run(Listener listener) {
        long start = System.nanoTime();
        int iterations = parts.config.train().iterations();
        if (parts.memory != null) {
            parts.memory.table().forEach(listener::note);
        }
        if (parts.leftOut != null) {
            listener.note(parts.leftOut.sentence());
        }
        notes.forEach(listener::note);
        listener.started(state.iteration, iterations);
        if (state.iteration == 0) {
            state.accuracyBefore = parts.accuracy();
        }
        double secondsBefore = state.secondsTotal;
        while (state.iteration < iterations) {
            ObjectNode line = iterate();
            if (parts.config.eval().every() > 0 && state.iteration % parts.config.eval().every() == 0) {
                line.put("accuracy", parts.accuracy());
            }
            state.secondsTotal = secondsBefore + (System.nanoTime() - start) * 1e-9;
            log.append(line);
            listener.iterated(line);
            line.path("alarms").forEach(alarm -> listener.alarm(alarm.textValue()));
            if (state.iteration == iterations || state.iteration % parts.config.train().checkpointEvery() == 0) {
                checkpoints.save();
            }
        }
        if (parts.online != null) {
            // With a lag, the last update is still to be taken over.
            learned(parts.online.takeOver());
            alarms().forEach(alarm -> listener.alarm(alarm.textValue()));
        }
        TrainedModels.write(parts);
        double accuracyAfter = parts.accuracy();
        state.secondsTotal = secondsBefore + (System.nanoTime() - start) * 1e-9;
        ObjectNode summary = metrics.summary(accuracyAfter);
        if (parts.config.eval().comparison() && !parts.config.speculation().mode().equals("off")) {
            compare(summary.putObject("comparison"));
        }
        parts.folder.writeSummary(summary);
        return summary;
    }

    private ObjectNode iterate() {
        var t = parts.config.train();
        int group = t.groupSize();
        List<Problem> problems = new ArrayList<>();
        List<PromptGroup> prompts = new ArrayList<>();
        for (int i = 0; i < t.promptsPerIteration(); i++) {
            long number = (long) state.iteration * t.promptsPerIteration() + i;
            Problem problem = parts.task.problems().training(number);
            problems.add(problem);
            prompts.add(new PromptGroup(parts.task.encode(problem), group, number * group));
        }
        if (parts.config.speculation().needsDrafter()) {
            parts.rollout.draftWith(parts.health.source() == DrafterHealth.Source.NGRAM ? Drafting.Kind.NGRAM : Drafting.Kind.EAGLE);
        }
        load.take();
        Rollout drawn = parts.rollout.generate(prompts);
        double rolloutLoad = load.take();
        parts.release(parts.rollout);
        List<Trajectory> trajectories = drawn.trajectories();
        state.digest.add(trajectories);
        double[] rewards = new double[trajectories.size()];
        for (int i = 0; i < rewards.length; i++) {
            rewards[i] = parts.task.reward(problems.get(i / group), trajectories.get(i));
        }
        float[] advantages = Advantages.of(rewards, group, t.normaliseAdvantages());
        if (parts.online != null) {
            parts.online.checkHealth();
        } else if (parts.health.ailing()) {
            newAlarms.add(parts.health.stepDown(0, -1));
        }
        OnlineDrafter.Outcome learned = parts.online == null ? null : teach(trajectories, rewards, group);
        load.take();
        long begun = System.nanoTime();
        PolicyTrainer.Report policy = parts.trainer.update(trajectories, advantages, learningRate());
        double actorSeconds = (System.nanoTime() - begun) * 1e-9;
        count(policy);
        double actorLoad = load.take();
        if (parts.online != null && parts.config.distill().lag() == 0) {
            learned = parts.online.takeOver();
        }
        double mean = mean(rewards);
        state.add(drawn.stats(), mean, actorSeconds);
        state.iteration++;
        ObjectNode line = metrics.line(drawn.stats(), trajectories, mean, policy, learned, actorSeconds);
        AcceptByReward.of(trajectories, rewards).add(line.putObject("accept_by_reward"));
        line.putObject("host_load").put("rollout", rolloutLoad).put("actor", actorLoad);
        double others = parts.rollout.policy().takeUtilization();
        if (!Double.isNaN(others)) {
            line.putObject("utilization").put("others", others);
        }
        learned(learned);
        ArrayNode alarms = alarms();
        if (!alarms.isEmpty()) {
            line.set("alarms", alarms);
        }
        return line;
    }

    /** Counts steps that the actor's update skipped; an alarm says so when it begins, and the counts whether it goes on. */
    private void count(PolicyTrainer.Report policy) {
        if (policy.skippedSteps() > 0 && skipped == 0) {
            newAlarms.add("the actor's update met a loss or gradient that is not finite: " + policy.skippedSteps()
                + " of its steps changed no weight; skipped_steps in metrics.jsonl counts what follows.");
        }
        skipped = policy.skippedSteps();
        state.skippedSteps += skipped;
    }

    /** Counts an update that has ended, if there is one. */
    private void learned(OnlineDrafter.Outcome outcome) {
        if (outcome != null) {
            state.secondsDrafter += outcome.seconds();
            state.secondsDrafterExposed += outcome.exposedSeconds();
        }
    }

    /** Alarms since the last call, which the run's state keeps too. */
    private ArrayNode alarms() {
        ArrayNode sentences = JsonNodeFactory.instance.arrayNode();
        for (String alarm : newAlarms) {
            String sentence = "iteration " + state.iteration + ": " + alarm;
            sentences.add(sentence);
            state.alarms.add(sentence);
        }
        newAlarms.clear();
        return sentences;
    }

    /**
     * Adds what was drawn to the replay buffer and begins an update where one is due; it is taken over after the actor's update or, with
     * a lag, here after the next rollout: then returned.
     */
    private OnlineDrafter.Outcome teach(List<Trajectory> trajectories, double[] rewards, int group) {
        var d = parts.config.distill();
        OnlineDrafter.Outcome ended = parts.online.takeOver();
        float[] weights = new RewardWeights(d.weighting().equals("reward"), d.weightFloor(), d.weightCap()).of(rewards, group);
        for (int i = 0; i < weights.length; i++) {
            parts.replay.add(trajectories.get(i), weights[i]);
        }
        if ((state.iteration + 1) % d.interval() == 0) {
            parts.online.launch(state.iteration);
        }
        return ended;
    }

    private float learningRate() {
        var t = parts.config.train();
        double warm = t.warmupIterations() == 0 ? 1 : Math.min(1.0, (state.iteration + 1.0) / t.warmupIterations());
        return (float) (t.learningRate() * warm);
    }

    private static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return values.length == 0 ? 0 : sum / values.length;
    }

    /** Speculation as configured against off, by turns, with the final weights and under the full batch, one prompt each request. */
    private void compare(ObjectNode json) {
        List<PromptGroup> prompts = new ArrayList<>();
        int requests = Math.max(8, Math.min(64, parts.config.rollout().maxBatch()));
        for (int i = 0; i < requests; i++) {
            prompts.add(new PromptGroup(parts.task.encode(parts.task.problems().training(i)), 1, COMPARISON_REQUEST + i));
        }
        List<SpeedComparison.Result> results = SpeedComparison.run(List.of(parts.plain, parts.rollout), 2, prompts, 2, COMPARISON_ROUNDS);
        json.put("requests", requests);
        json.put("rounds", COMPARISON_ROUNDS);
        json.put("tokens_per_second_off", results.get(0).tokensPerSecond());
        json.put("tokens_per_second", results.get(1).tokensPerSecond());
        json.put("ratio_to_off", results.get(1).ratioToFirst());
        json.put("accept_length", results.get(1).acceptLength());
    }

    @Override
    public void close() {
        parts.close();
    }
}

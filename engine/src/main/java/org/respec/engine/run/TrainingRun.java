package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.respec.engine.BadInput;
import org.respec.engine.distill.DraftLearner;
import org.respec.engine.distill.DrafterHealth;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.distill.ReplayBuffer;
import org.respec.engine.distill.RewardWeights;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.Advantages;
import org.respec.engine.rl.Evaluator;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.Drafting;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.RolloutStats;
import org.respec.engine.rollout.SpeedComparison;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.task.Problem;
import org.respec.engine.task.Task;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/**
 * The main job: iterations of rollout, GRPO step and drafter learning, with evaluations, metrics and checkpoints. Actor weights and
 * trajectories are a function of config and seed alone, whatever is speculated, batched or distilled.
 */
public final class TrainingRun implements AutoCloseable {
    /** Who watches a run; called on the running thread. */
    public interface Listener {
        /** Before anything is computed. */
        void started(int firstIteration, int iterations);

        /** After every iteration, with what was written to {@code metrics.jsonl}. */
        void iterated(ObjectNode metrics);

        /** Something to know about how the run goes, in a sentence: an alarm, for instance. */
        default void note(String sentence) {
        }
    }

    /** Request numbers of the closing speed comparison; see also {@link Evaluator}. */
    private static final long COMPARISON_REQUEST = 1L << 41;
    private static final int COMPARISON_ROUNDS = 5;

    private final Owned owned = new Owned();
    private final RunConfig config;
    private final RunFolder folder;
    private final MetricsLog metrics;
    private final CheckpointStore checkpoints;
    private final Ops ops;
    private final Actor actor;
    private final Drafter drafter;
    private final Task task;
    private final RolloutEngine rollout;
    private final RolloutEngine plain;
    private final RolloutEngine evaluation;
    private final Evaluator evaluator;
    /** Null where nobody counts memory. */
    private final MemoryPlan memory;
    private final AdamW actorOptimizer;
    private final PolicyTrainer trainer;
    private final ReplayBuffer replay;
    private final DrafterHealth health;
    private final OnlineDrafter online;
    private final List<String> newAlarms = new ArrayList<>();
    private final RunState state = new RunState();
    private final ProcessCpuShare load = new ProcessCpuShare();

    /**
     * Loads models, takes the run folder and, if {@code resume}, the newest whole checkpoint in it.
     *
     * @throws BadInput for anything wrong with the config, the model files or the folder
     */
    public TrainingRun(RunConfig config, boolean resume) {
        this(config, resume, OnlineDrafter.Wiring.plain());
    }

    TrainingRun(RunConfig config, boolean resume, OnlineDrafter.Wiring wiring) {
        this.config = config;
        boolean built = false;
        try {
            boolean distill = config.distill().enabled();
            boolean drafterDrafts = config.speculation().needsDrafter();
            if (config.model().drafter() == null && (drafterDrafts || distill)) {
                throw new BadInput("model.drafter: speculation and distillation need a drafter; name its folder, or set"
                    + " speculation.drafter=ngram or speculation.mode=off, and distill.enabled=false.");
            }
            ops = owned.add(Devices.open(config.run().device(), config.run().threads(), config.run().graphs()));
            DType dtype = Devices.dtype(config.run().dtype(), config.run().device(), ops);
            AdamW.Moments moments = config.train().kept();
            if (moments == AdamW.Moments.BF16 && !ops.stores(DType.BF16)) {
                throw new BadInput("train.moments: " + ops.device() + " does not store bf16; set train.moments=f32.");
            }
            if (moments == AdamW.Moments.HOST && ops.freeBytes() == Long.MAX_VALUE) {
                throw new BadInput("train.moments: " + ops.device() + " has no memory but the host's; set train.moments=f32.");
            }
            memory = plan(dtype);
            LoadedModel model = owned.add(LoadedModel.load(ops, config.model().actor(), config.model().drafter(), dtype, true));
            actor = model.actor();
            drafter = model.drafter();
            task = Tasks.of(config.task(), config.run().seed(), model);
            var r = config.rollout();
            SamplingParams sampling = new SamplingParams(r.temperature(), r.topK(), r.topP());
            StopRule stop = new StopRule(actor.config().eosTokenIds(), List.of());
            int prompt = task.maxPromptTokens();
            RolloutLimits limits = MemoryPlan.limits(config, actor.config(), prompt);
            limits = memory == null ? limits : limits.withPages(memory.kvPages());
            if (resume && !Files.isDirectory(config.run().dir())) {
                throw new BadInput(config.run().dir() + ": there is no such run folder to resume; start without --resume.");
            }
            folder = owned.add(RunFolder.open(config.run().dir(), resume));
            health = new DrafterHealth(config.distill().healthSteps(), true);
            PlanPolicy plans = PlanPolicies.of(config.speculation(), ops, actor, drafter, limits);
            // N-grams have no weights that could be at fault: how much they gain is for the policy alone to judge.
            PlanPolicy policy = drafterDrafts ? new HealthPolicy(plans, health) : plans;
            rollout = owned.add(new RolloutEngine(ops, actor, drafterDrafts || distill ? drafter : null, limits, sampling,
                config.run().seed(), stop, policy, config.speculation().drafting()));
            release(rollout);
            RolloutLimits plainLimits = limits.withoutCaptures();
            plain = owned.add(new RolloutEngine(ops, actor, null, plainLimits, sampling, config.run().seed(), stop, PlanPolicies.off(),
                false, 1f));
            release(plain);
            evaluation = evaluation(plainLimits, sampling, stop);
            release(evaluation);
            evaluator = new Evaluator(evaluation, task, config.eval().problems());
            var t = config.train();
            actorOptimizer = owned.add(new AdamW(ops, actor.weights(),
                new AdamW.Settings(t.beta1(), t.beta2(), t.eps(), t.weightDecay(), t.maxGradNorm()), moments));
            Actor reference = t.klCoefficient() == 0 ? null : owned.add(model.copyOfActor());
            trainer = owned.add(new PolicyTrainer(ops, actor, reference, actorOptimizer,
                new PolicyLoss(t.clipLow(), t.clipHigh(), t.klCoefficient()),
                new PolicyTrainer.Schedule(t.miniBatches(), t.epochs(), t.loss().equals("sequence"), r.temperature(), t.importanceCap(dtype)),
                memory == null ? t.microBatchTokens() : memory.microBatchTokens(),
                t.checkpointActivations() ? ActorTraining.Keep.INPUTS : ActorTraining.Keep.ALL, !r.releaseKv()));
            trainer.reserve();
            if (distill) {
                var d = config.distill();
                replay = owned.add(new ReplayBuffer(d.capacityTokens(), 3 * actor.config().hiddenSize(), limits.captureTopK()));
                int threads = config.run().threads() > 0 ? config.run().threads() : Runtime.getRuntime().availableProcessors();
                online = owned.add(new OnlineDrafter(ops, drafter, replay, health, new OnlineDrafter.Settings(d.overlap(),
                    d.threads() > 0 ? d.threads() : Math.max(1, threads / 4), d.timeoutSeconds(), d.unroll(),
                    new AdamW.Settings(t.beta1(), d.beta2(), t.eps(), 0f, d.maxGradNorm()), new DraftLearner.Settings(d.stepsPerUpdate(),
                        d.rows(limits.maxLength() - 1), d.share(), d.unrollDecay(), d.tvWeight(), r.temperature(), d.learningRate(), d.warmupSteps(),
                        config.run().seed())), wiring, newAlarms::add));
            } else {
                replay = null;
                online = null;
            }
            checkpoints = new CheckpointStore(folder.path().resolve("checkpoints"), t.keepCheckpoints());
            if (resume) {
                // A run that was killed before its first checkpoint begins again.
                checkpoints.latest().ifPresent(this::restore);
            }
            folder.writeConfig(config.toJson());
            metrics = owned.add(MetricsLog.open(folder.path().resolve("metrics.jsonl"), state.iteration));
            built = true;
        } finally {
            if (!built) {
                owned.close();
            }
        }
    }

    private MemoryPlan plan(DType dtype) {
        if (ops.freeBytes() == Long.MAX_VALUE) {
            return null;
        }
        ModelConfig shape = ModelConfig.read(config.model().actor().resolve("config.json"));
        DrafterConfig draftShape = config.model().drafter() == null ? null
            : DrafterConfig.read(config.model().drafter().resolve("config.json"));
        try (TextTokenizer tokenizer = TextTokenizer.open(config.model().actor().resolve("tokenizer.json"), shape.vocabSize())) {
            int prompt = Tasks.of(config.task(), config.run().seed(), tokenizer, shape).maxPromptTokens();
            return MemoryPlan.of(ops, config, shape, draftShape, dtype, prompt);
        }
    }

    /** Lets the memory of an engine's cache go until it draws again, if the config says so. */
    private void release(RolloutEngine engine) {
        if (config.rollout().releaseKv()) {
            engine.release();
        }
    }

    private double accuracy() {
        double accuracy = evaluator.accuracy();
        release(evaluation);
        return accuracy;
    }

    private RolloutEngine evaluation(RolloutLimits limits, SamplingParams sampling, StopRule stop) {
        if (config.eval().temperature() == null) {
            return plain;
        }
        return owned.add(new RolloutEngine(ops, actor, null, limits, SamplingParams.temperature(config.eval().temperature()),
            config.run().seed(), stop, PlanPolicies.off(), false, 1f));
    }

    /** Where an earlier run in the same folder was moved to, or null. */
    public Path earlierRun() {
        return folder.earlier();
    }

    /** What the run takes of the device's memory; null where nobody counts it. */
    MemoryPlan memory() {
        return memory;
    }

    /** What is left of it. */
    long freeBytes() {
        return ops.freeBytes();
    }

    /** The device the run computes on, in words. */
    public String device() {
        return ops.device();
    }

    // ---------------------------------------------------------------------------------------------------------- the run

    /** Runs what is left of the configured iterations and writes {@code summary.json}, which is also returned. */
    public ObjectNode run(Listener listener) {
        long start = System.nanoTime();
        int iterations = config.train().iterations();
        if (memory != null) {
            memory.table().forEach(listener::note);
        }
        listener.started(state.iteration, iterations);
        if (state.iteration == 0) {
            state.accuracyBefore = accuracy();
        }
        double secondsBefore = state.secondsTotal;
        while (state.iteration < iterations) {
            ObjectNode line = iterate();
            if (config.eval().every() > 0 && state.iteration % config.eval().every() == 0) {
                line.put("accuracy", accuracy());
            }
            state.secondsTotal = secondsBefore + (System.nanoTime() - start) * 1e-9;
            metrics.append(line);
            listener.iterated(line);
            line.path("alarms").forEach(alarm -> listener.note(alarm.textValue()));
            if (state.iteration == iterations || state.iteration % config.train().checkpointEvery() == 0) {
                save();
            }
        }
        if (online != null) {
            // With a lag, the last update is still to be taken over.
            learned(online.takeOver());
            alarms().forEach(alarm -> listener.note(alarm.textValue()));
        }
        double accuracyAfter = accuracy();
        state.secondsTotal = secondsBefore + (System.nanoTime() - start) * 1e-9;
        ObjectNode summary = summary(accuracyAfter);
        if (config.eval().comparison() && !config.speculation().mode().equals("off")) {
            compare(summary.putObject("comparison"));
        }
        folder.writeSummary(summary);
        return summary;
    }

    private ObjectNode iterate() {
        var t = config.train();
        int group = t.groupSize();
        List<Problem> problems = new ArrayList<>();
        List<PromptGroup> prompts = new ArrayList<>();
        for (int i = 0; i < t.promptsPerIteration(); i++) {
            long number = (long) state.iteration * t.promptsPerIteration() + i;
            Problem problem = task.problems().training(number);
            problems.add(problem);
            prompts.add(new PromptGroup(task.encode(problem), group, number * group));
        }
        if (config.speculation().needsDrafter()) {
            rollout.draftWith(health.source() == DrafterHealth.Source.NGRAM ? Drafting.Kind.NGRAM : Drafting.Kind.EAGLE);
        }
        load.take();
        Rollout drawn = rollout.generate(prompts);
        double rolloutLoad = load.take();
        release(rollout);
        List<Trajectory> trajectories = drawn.trajectories();
        state.digest.add(trajectories);
        double[] rewards = new double[trajectories.size()];
        for (int i = 0; i < rewards.length; i++) {
            rewards[i] = task.reward(problems.get(i / group), trajectories.get(i));
        }
        float[] advantages = Advantages.of(rewards, group, t.normaliseAdvantages());
        if (online != null) {
            online.checkHealth();
        } else if (health.ailing()) {
            newAlarms.add(health.stepDown(0, -1));
        }
        OnlineDrafter.Outcome learned = online == null ? null : teach(trajectories, rewards, group);
        load.take();
        long begun = System.nanoTime();
        PolicyTrainer.Report policy = trainer.update(trajectories, advantages, learningRate());
        double actorSeconds = (System.nanoTime() - begun) * 1e-9;
        double actorLoad = load.take();
        if (online != null && config.distill().lag() == 0) {
            learned = online.takeOver();
        }
        double mean = mean(rewards);
        state.add(drawn.stats(), mean, actorSeconds);
        state.iteration++;
        ObjectNode line = line(drawn.stats(), trajectories, mean, policy, learned, actorSeconds);
        AcceptByReward.of(trajectories, rewards).add(line.putObject("accept_by_reward"));
        line.putObject("host_load").put("rollout", rolloutLoad).put("actor", actorLoad);
        double others = rollout.policy().takeUtilization();
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
        var d = config.distill();
        OnlineDrafter.Outcome ended = online.takeOver();
        float[] weights = new RewardWeights(d.weighting().equals("reward"), d.weightFloor(), d.weightCap()).of(rewards, group);
        for (int i = 0; i < weights.length; i++) {
            replay.add(trajectories.get(i), weights[i]);
        }
        if ((state.iteration + 1) % d.interval() == 0) {
            online.launch(state.iteration);
        }
        return ended;
    }

    private float learningRate() {
        var t = config.train();
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

    private ObjectNode line(RolloutStats stats, List<Trajectory> trajectories, double reward, PolicyTrainer.Report policy,
                            OnlineDrafter.Outcome learned, double actorSeconds) {
        ObjectNode line = JsonNodeFactory.instance.objectNode();
        line.put("iteration", state.iteration);
        line.put("time", System.currentTimeMillis() * 1e-3);
        line.put("reward", reward);
        line.put("accept_length", stats.acceptLength());
        line.put("plan", mostUsed(stats.plans()));
        line.put("tokens", stats.tokens());
        line.put("tokens_per_second", stats.tokensPerSecond());
        putKnown(line, "cost_error", rollout.policy().costError());
        putKnown(line, "tokens_error", rollout.policy().tokensError());
        ObjectNode plans = line.putObject("plans");
        stats.plans().forEach(plans::put);
        line.put("preemptions", stats.preemptions());
        RolloutMetrics.addLengths(line.putObject("response_length"), trajectories, config.rollout().maxTokens());
        RolloutMetrics.addSteps(line.putObject("steps_by_live"), stats.groups());
        if (trainer.maxRows() < config.train().microBatchTokens()) {
            line.put("micro_batch_tokens", trainer.maxRows());
        }
        line.put("loss", policy.loss());
        line.put("grad_norm", policy.gradNorm());
        line.put("clip_fraction", policy.clipFraction());
        ObjectNode mismatch = line.putObject("mismatch");
        mismatch.put("mean", policy.mismatch().mean());
        mismatch.put("kl", policy.mismatch().kl());
        mismatch.put("max", policy.mismatch().max());
        if (learned != null && learned.report() != null) {
            line.put("distill_loss", learned.report().divergence());
            line.put("draft_grad_norm", learned.report().gradNorm());
        }
        if (online != null) {
            line.put("drafter_version", online.version());
        }
        ObjectNode seconds = line.putObject("seconds");
        seconds.put("rollout", stats.seconds());
        seconds.put("draft", stats.draftSeconds());
        seconds.put("verify", stats.verifySeconds());
        seconds.put("actor", actorSeconds);
        seconds.put("drafter", learned == null ? 0 : learned.seconds());
        seconds.put("drafter_exposed", learned == null ? 0 : learned.exposedSeconds());
        return line;
    }

    private static void putKnown(ObjectNode line, String field, double value) {
        if (!Double.isNaN(value)) {
            line.put(field, value);
        }
    }

    /** Speculation as configured against off, by turns, with the final weights and under the full batch, one prompt each request. */
    private void compare(ObjectNode json) {
        List<PromptGroup> prompts = new ArrayList<>();
        int requests = Math.max(8, Math.min(64, config.rollout().maxBatch()));
        for (int i = 0; i < requests; i++) {
            prompts.add(new PromptGroup(task.encode(task.problems().training(i)), 1, COMPARISON_REQUEST + i));
        }
        List<SpeedComparison.Result> results = SpeedComparison.run(List.of(plain, rollout), prompts, 2, COMPARISON_ROUNDS);
        json.put("requests", requests);
        json.put("rounds", COMPARISON_ROUNDS);
        json.put("tokens_per_second_off", results.get(0).tokensPerSecond());
        json.put("tokens_per_second", results.get(1).tokensPerSecond());
        json.put("ratio_to_off", results.get(1).ratioToFirst());
        json.put("accept_length", results.get(1).acceptLength());
    }

    private static String mostUsed(Map<String, Long> plans) {
        return plans.entrySet().stream().max(Map.Entry.comparingByValue()).map(Map.Entry::getKey).orElse("off");
    }

    private ObjectNode summary(double accuracyAfter) {
        ObjectNode summary = JsonNodeFactory.instance.objectNode();
        summary.put("iterations", state.iteration);
        summary.put("seed", config.run().seed());
        summary.put("device", ops.device());
        if (memory != null) {
            summary.set("memory", memory.toJson());
        }
        summary.put("dtype", actor.dtype().name().toLowerCase(Locale.ROOT));
        ObjectNode eval = summary.putObject("eval");
        eval.put("problems", evaluator.size());
        eval.put("accuracy_before", state.accuracyBefore);
        eval.put("accuracy_after", accuracyAfter);
        ObjectNode reward = summary.putObject("reward");
        reward.put("first", state.rewardFirst);
        reward.put("last", state.rewardLast);
        ObjectNode rolled = summary.putObject("rollout");
        rolled.put("tokens", state.tokens);
        rolled.put("seconds", state.secondsRollout);
        rolled.put("tokens_per_second", state.secondsRollout == 0 ? 0 : state.tokens / state.secondsRollout);
        ObjectNode accept = rolled.putObject("accept_length");
        accept.put("first", state.acceptFirst);
        accept.put("last", state.acceptLast);
        accept.put("mean", state.iteration == 0 ? 0 : state.acceptSum / state.iteration);
        rolled.put("trajectory_sha256", state.digest.value());
        summary.putObject("actor").put("weights_sha256", actor.weights().sha256());
        if (drafter != null) {
            ObjectNode json = summary.putObject("drafter");
            json.put("weights_sha256", drafter.weights().sha256());
            json.put("version", online == null ? 0 : online.version());
        }
        ObjectNode seconds = summary.putObject("seconds");
        seconds.put("rollout", state.secondsRollout);
        seconds.put("actor", state.secondsActor);
        seconds.put("drafter", state.secondsDrafter);
        seconds.put("drafter_exposed", state.secondsDrafterExposed);
        seconds.put("total", state.secondsTotal);
        ObjectNode plans = summary.putObject("plans");
        new TreeMap<>(state.plans).forEach(plans::put);
        ArrayNode alarms = summary.putArray("alarms");
        state.alarms.forEach(alarms::add);
        return summary;
    }

    // ------------------------------------------------------------------------------------------------------ checkpoints

    private void save() {
        state.actorSteps = actorOptimizer.steps();
        Map<String, MemorySegment> drafterParts = online == null ? Map.of() : online.parts();
        ObjectNode json = state.toJson();
        if (online != null) {
            json.set("drafter", online.progress());
        }
        checkpoints.write(state.iteration, json, parts -> {
            parts.add("actor.weights", actor.weights()::read);
            parts.add("actor.first", actorOptimizer.firstMoments()::read);
            parts.add("actor.second", actorOptimizer.secondMoments()::read);
            drafterParts.forEach(parts::add);
            if (replay != null) {
                parts.add("replay.index", replay.index());
                for (int i = 0; i < replay.segments().size(); i++) {
                    parts.add("replay." + i, replay.segments().get(i));
                }
            }
        });
    }

    private void restore(CheckpointStore.Checkpoint checkpoint) {
        state.restore(checkpoint.state());
        read(checkpoint, "actor.weights", actor.weights());
        read(checkpoint, "actor.first", actorOptimizer.firstMoments());
        read(checkpoint, "actor.second", actorOptimizer.secondMoments());
        actorOptimizer.restore(state.actorSteps);
        actor.publish();
        if (online != null) {
            for (int i = 0; i < replay.segments().size(); i++) {
                checkpoint.read("replay." + i, replay.segments().get(i));
            }
            replay.restore(checkpoint.readNumbers("replay.index"));
            online.restore(checkpoint.state().required("drafter"), checkpoint::read);
        }
    }

    private static void read(CheckpointStore.Checkpoint checkpoint, String part, ParameterSet set) {
        checkpoint.read(part, set.hostBytes());
        set.upload();
    }

    @Override
    public void close() {
        owned.close();
    }
}

package org.respec.engine.run;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.respec.engine.BadInput;
import org.respec.engine.HostMemory;
import org.respec.engine.distill.DraftLearner;
import org.respec.engine.distill.DrafterHealth;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.distill.ReplayBuffer;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.Evaluator;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.task.Task;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/**
 * All that a run is made of, built from its config: operators, models, engines, optimizer,
 * trainer and the drafter's learning. Closing it closes them.
 */
final class RunParts implements AutoCloseable {
    final RunConfig config;
    final RunFolder folder;
    /** What the config says otherwise than at an earlier start of the run, in sentences. */
    final List<String> changes;
    final Ops ops;
    /** Null where nobody counts memory. */
    final MemoryPlan memory;
    /** What mode {@code adaptive} leaves out; null for nothing. */
    final PassRoom leftOut;
    final Actor actor;
    /** Null for none. */
    final Drafter drafter;
    /** The actor's tokenizer.json. */
    final byte[] tokenizer;
    final RunOrigins origins;
    final Task task;
    final RolloutEngine rollout;
    /** Draws without speculation. */
    final RolloutEngine plain;
    final Evaluator evaluator;
    final AdamW actorOptimizer;
    final PolicyTrainer trainer;
    final DrafterHealth health;
    /** The drafter's learning, and what it learns from; both null where it does not learn. */
    final OnlineDrafter online;
    final ReplayBuffer replay;
    private final RolloutEngine evaluation;
    private final Owned owned = new Owned();

    /**
     * @param alarms told in a sentence what goes wrong with the drafter
     * @throws BadInput for anything wrong with the config, the model files or the folder
     */
    RunParts(RunConfig config, boolean resume, OnlineDrafter.Wiring wiring, Preparation preparation, Consumer<String> alarms) {
        this.config = config;
        boolean built = false;
        try {
            RunFolder.check(config.run().dir(), resume);
            changes = resume ? ConfigChanges.since(RunFolder.config(config.run().dir()), config) : List.of();
            requireOtherModels(config);
            boolean distill = config.distill().enabled();
            boolean drafterDrafts = config.speculation().needsDrafter();
            if (config.model().drafter() == null && (drafterDrafts || distill)) {
                throw new BadInput("model.drafter: speculation and distillation need a drafter; name its folder, or set"
                    + " speculation.drafter=ngram or speculation.mode=off, and distill.enabled=false.");
            }
            ops = owned.add(Devices.open(config.run()));
            DType dtype = Devices.dtype(config.run(), ops);
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
            tokenizer = TrainedModels.tokenizer(config.model().actor());
            origins = new RunOrigins(config, actor);
            task = Tasks.of(config.task(), config.run().seed(), model);
            var r = config.rollout();
            SamplingParams sampling = new SamplingParams(r.temperature(), r.topK(), r.topP());
            StopRule stop = new StopRule(actor.config().eosTokenIds(), List.of());
            int prompt = task.maxPromptTokens();
            RolloutLimits limits = MemoryPlan.limits(config, actor.config(), prompt);
            limits = memory == null ? limits : limits.withPages(memory.kvPages());
            requireRows(config.train().microBatchTokens(), limits);
            leftOut = PassRoom.of(config.speculation(), limits);
            health = new DrafterHealth(config.distill().healthSteps(), true);
            preparation.before(ops, actor.config(), drafter == null ? null : drafter.config());
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
                new PolicyTrainer.Schedule(t.miniBatches(), t.epochs(), t.loss().equals("sequence"), sampling,
                    t.importanceCap(dtype)),
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
                        d.rows(limits.maxLength() - 1), d.share(), d.unrollDecay(), d.tvWeight(), r.temperature(), d.learningRate(),
                        d.warmupSteps(), config.run().seed())), wiring, alarms));
            } else {
                replay = null;
                online = null;
            }
            // Last, when nothing can be refused any more: an earlier run there is moved aside.
            folder = owned.add(RunFolder.open(config.run().dir(), resume));
            built = true;
        } finally {
            if (!built) {
                owned.close();
            }
        }
    }

    /** Refuses passes that the longest response there can be would not fit. */
    private static void requireRows(int tokens, RolloutLimits limits) {
        if (tokens < limits.maxLength() - 1) {
            throw new BadInput("train.micro_batch_tokens: " + tokens + " is less than a trajectory of " + (limits.maxLength() - 1)
                + " tokens, as prompts and rollout.max_tokens allow; raise it.");
        }
    }

    /** Refuses models where the run is to write its own. */
    private static void requireOtherModels(RunConfig config) {
        for (Path written : TrainedModels.folders(config.run().dir())) {
            for (Path read : new Path[] {config.model().actor(), config.model().drafter()}) {
                if (read != null && read.toAbsolutePath().normalize().equals(written.toAbsolutePath().normalize())) {
                    throw new BadInput("run.dir: the run would write its own model over " + read + ", which it begins from; choose another"
                        + " run.dir.");
                }
            }
        }
    }

    /** Null on a device that has no memory but the host's. */
    private MemoryPlan plan(DType dtype) {
        ModelConfig shape = ModelConfig.read(config.model().actor().resolve("config.json"));
        DrafterConfig draftShape = config.model().drafter() == null ? null
            : DrafterConfig.read(config.model().drafter().resolve("config.json"));
        int prompt;
        try (TextTokenizer tokenizer = TextTokenizer.open(config.model().actor().resolve("tokenizer.json"), shape.vocabSize())) {
            prompt = Tasks.of(config.task(), config.run().seed(), tokenizer, shape).maxPromptTokens();
        }
        if (ops.freeBytes() == Long.MAX_VALUE) {
            MemoryPlan.onHost(ops, config, shape, draftShape, dtype, prompt, HostMemory.availableBytes());
            return null;
        }
        return MemoryPlan.of(ops, config, shape, draftShape, dtype, prompt, HostMemory.availableBytes());
    }

    /** Lets the memory of an engine's cache go until it draws again, if the config says so. */
    void release(RolloutEngine engine) {
        if (config.rollout().releaseKv()) {
            engine.release();
        }
    }

    /** Share of the held-out problems that are solved. */
    double accuracy() {
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

    /** Has something closed with these parts, before them. */
    <T extends AutoCloseable> T own(T more) {
        return owned.add(more);
    }

    @Override
    public void close() {
        owned.close();
    }
}

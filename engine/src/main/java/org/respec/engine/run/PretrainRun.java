package org.respec.engine.run;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.engine.distill.DraftLearner;
import org.respec.engine.distill.ReplayBuffer;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.Initializer;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ModelFiles;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.SupervisedTrainer;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.engine.task.Problem;
import org.respec.engine.task.RewardFunction;
import org.respec.engine.task.Task;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Makes an actor by imitation of worked arithmetic, then a drafter by distillation from that actor's own responses. */
public final class PretrainRun {
    /** Who watches. */
    public interface Listener {
        /** After a supervised step. */
        void supervised(int step, int steps, double loss);

        /** After a round of drafter learning: divergence, accept length and reward of the round's rollout. */
        void distilled(int round, int rounds, double divergence, double acceptLength, double reward);
    }

    private static final List<String> SPECIAL = List.of("<pad>", "<eos>");
    private static final int PAD = 0;
    private static final int END = 1;
    private static final SpeculationPlan PLAN = new SpeculationPlan(4, 2, 8);
    private static final int BATCH = 32;

    private final PretrainConfig config;
    private final ArithmeticProblems problems;
    private final long seed;

    /** @throws BadInput if the config names problems of its own: pretraining makes its worked examples */
    public PretrainRun(PretrainConfig config) {
        if (config.task().prompts() != null) {
            throw new BadInput("task.prompts: pretraining makes its own worked examples; remove it.");
        }
        this.config = config;
        this.seed = config.run().seed();
        this.problems = Tasks.arithmetic(config.task().arithmetic(), seed);
    }

    /** Trains both models and writes their folders; {@code preparation} comes before anything is learnt. */
    public void run(Preparation preparation, Listener listener) {
        // What the drafter's part needs is looked at before the actor's part takes its time.
        RewardFunction.named(config.task().reward());
        folder(config.output().actor());
        folder(config.output().drafter());
        try (Ops ops = Devices.open(config.run())) {
            trainActor(ops, preparation, listener);
            trainDrafter(ops, listener);
        }
    }

    private DType dtype(Ops ops) {
        return Devices.dtype(config.run(), ops);
    }

    // ------------------------------------------------------------------------------------------------------------ actor

    private void trainActor(Ops ops, Preparation preparation, Listener listener) {
        Path folder = config.output().actor();
        Path tokenizerFile = folder.resolve("tokenizer.json");
        TextTokenizer.writeCharacterTokenizer(tokenizerFile, SPECIAL, ArithmeticProblems.CHARACTERS);
        ModelConfig model = config.actor().config(SPECIAL.size() + ArithmeticProblems.CHARACTERS.length(), END, PAD);
        PretrainConfig.Supervised s = config.supervised();
        ParameterSet weights = new ParameterSet(ops, "actor weights", model.tensors());
        Initializer.fill(weights, model.numHiddenLayers(), seed);
        try (Actor actor = new Actor(ops, model, weights, dtype(ops));
             TextTokenizer tokenizer = TextTokenizer.open(tokenizerFile, model.vocabSize());
             AdamW optimizer = new AdamW(ops, weights, new AdamW.Settings(0.9f, 0.98f, 1e-8f, s.weightDecay(), s.maxGradNorm()));
             SupervisedTrainer trainer = new SupervisedTrainer(ops, actor, optimizer, s.batchTokens())) {
            requirePositions(model, Tasks.of(config.task(), seed, tokenizer, model).maxPromptTokens());
            preparation.before(ops, model, config.drafter().config(model));
            actor.publish();
            long next = 0;
            for (int step = 0; step < s.steps(); step++) {
                List<SupervisedTrainer.Demonstration> batch = new ArrayList<>();
                int rows = 0;
                while (true) {
                    ArithmeticProblems.Demonstration text = problems.demonstration(next, s.mistakeRate());
                    int[] prompt = tokenizer.encode(text.prompt());
                    int[] response = tokenizer.encode(text.response());
                    int[] ended = Arrays.copyOf(response, response.length + 1);
                    ended[response.length] = END;
                    int need = prompt.length + ended.length - 1;
                    if (need > s.batchTokens()) {
                        throw new BadInput("supervised.batch_tokens: an example of " + need + " tokens does not fit; raise it.");
                    }
                    if (need > model.maxPositionEmbeddings()) {
                        throw new BadInput("actor.max_position_embeddings: an example of " + need + " tokens does not fit; raise it.");
                    }
                    if (rows + need > s.batchTokens()) {
                        break;
                    }
                    batch.add(new SupervisedTrainer.Demonstration(prompt, ended));
                    rows += need;
                    next++;
                }
                double loss = trainer.step(batch, learningRate(step));
                listener.supervised(step + 1, s.steps(), loss);
            }
            ModelFiles.write(folder, model.toJson(), weights);
        }
    }

    /** The drafter learns from responses that the actor must have positions for. */
    private void requirePositions(ModelConfig actor, int prompt) {
        int tokens = config.distill().maxTokens();
        int most = RolloutEngine.mostTokens(actor, prompt);
        if (tokens > most) {
            throw new BadInput("distill.max_tokens: after a prompt of " + prompt + " tokens actor.max_position_embeddings "
                + actor.maxPositionEmbeddings() + " leaves " + Math.max(0, most) + " tokens, not " + tokens + "; change one of them.");
        }
    }

    /** Linear warm-up, then half a cosine down to a twentieth. */
    private float learningRate(int step) {
        PretrainConfig.Supervised s = config.supervised();
        if (step < s.warmupSteps()) {
            return s.learningRate() * (step + 1) / s.warmupSteps();
        }
        double done = (double) (step - s.warmupSteps()) / Math.max(1, s.steps() - s.warmupSteps());
        return (float) (s.learningRate() * (0.05 + 0.95 * 0.5 * (1 + StrictMath.cos(Math.PI * done))));
    }

    private static void folder(Path folder) {
        try {
            Files.createDirectories(folder);
            SafeFiles.tryFolder(folder);
        } catch (IOException e) {
            throw new BadInput(folder + ": no model can be written there (" + Reason.of(e) + "); name another folder under output.", e);
        }
    }

    // ---------------------------------------------------------------------------------------------------------- drafter

    private void trainDrafter(Ops ops, Listener listener) {
        PretrainConfig.Distilled d = config.distill();
        // The actor as it was written: what the drafter will meet.
        try (LoadedModel loaded = LoadedModel.load(ops, config.output().actor(), null, dtype(ops), false)) {
            Actor actor = loaded.actor();
            DrafterConfig model = config.drafter().config(actor.config());
            ParameterSet weights = new ParameterSet(ops, "drafter weights", model.tensors());
            Initializer.fill(weights, 1, seed + 1);
            Task task = Tasks.of(config.task(), seed, loaded);
            RolloutLimits limits = new RolloutLimits(BATCH, task.maxPromptTokens(), d.maxTokens(), 16, 0,
                Math.min(d.topK(), model.vocabSize()));
            try (Drafter drafter = new Drafter(ops, model, weights, actor);
                 AdamW optimizer = new AdamW(ops, weights, new AdamW.Settings(0.9f, 0.95f, 1e-8f, 0f, d.maxGradNorm()));
                 ReplayBuffer replay = new ReplayBuffer(d.capacityTokens(), 3 * model.hiddenSize(), limits.captureTopK());
                 RolloutEngine rollout = new RolloutEngine(ops, actor, drafter, limits, SamplingParams.temperature(1f), seed,
                     new StopRule(actor.config().eosTokenIds(), List.of()), new FixedPolicy(PLAN), true, 1f)) {
                drafter.publish();
                for (int round = 0; round < d.rounds(); round++) {
                    double done = (double) round / d.rounds();
                    float rate = (float) (d.learningRate() * (0.05 + 0.95 * 0.5 * (1 + StrictMath.cos(Math.PI * done))));
                    Rollout drawn = rollout.generate(prompts(task, round));
                    double reward = 0;
                    for (int i = 0; i < drawn.trajectories().size(); i++) {
                        Trajectory trajectory = drawn.trajectories().get(i);
                        reward += task.reward(problem(task, round, i / d.groupSize()), trajectory) / drawn.trajectories().size();
                        replay.add(trajectory, 1f);
                    }
                    try (DraftLearner learner = new DraftLearner(ops, drafter, optimizer, replay, d.unroll(),
                        DraftLearner.Settings.plain(d.steps(), d.batchTokens(), d.unrollDecay(), 1f, rate, seed))) {
                        DraftLearner.Report report = learner.update(round);
                        listener.distilled(round + 1, d.rounds(), report.divergence(), drawn.stats().acceptLength(), reward);
                    }
                }
                ModelFiles.write(config.output().drafter(), model.toJson(), weights);
            }
        }
    }

    private Problem problem(Task task, int round, int index) {
        return task.problems().training((long) round * config.distill().prompts() + index);
    }

    private List<PromptGroup> prompts(Task task, int round) {
        PretrainConfig.Distilled d = config.distill();
        List<PromptGroup> prompts = new ArrayList<>();
        for (int i = 0; i < d.prompts(); i++) {
            long number = (long) round * d.prompts() + i;
            prompts.add(new PromptGroup(task.encode(problem(task, round, i)), d.groupSize(), number * d.groupSize()));
        }
        return prompts;
    }
}

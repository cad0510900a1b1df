package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.respec.engine.distill.DraftLearner;
import org.respec.engine.distill.ReplayBuffer;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Initializer;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rl.SupervisedTrainer;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** The gradient of every loss by all of a model's weights against the CPU's, on the same trajectories, in fp32. */
final class GradientStage implements CheckStage {
    /** Many times what the order of sums in fp32 does, and far less than any real error. */
    private static final double TOLERANCE = 1e-3;
    private static final long SEED = 91;
    private static final int TOP_K = 8;
    private static final int UNROLL = 2;
    private static final float BETA = 0.9f;

    /** A loss and its gradient by every weight, one after another. */
    record Gradient(double loss, float[] values) {
    }

    @Override
    public String name() {
        return "gradients";
    }

    @Override
    public int seconds() {
        return 30;
    }

    @Override
    public void run(StageRun run) {
        boolean quick = run.settings().quick();
        ModelFolders models = run.models();
        ArrayNode rows = run.json().putArray("rows");
        Map<String, Gradient> want;
        List<Trajectory> drawn;
        try (Ops cpu = run.openCpu(); LoadedModel model = LoadedModel.load(cpu, models.actor(), models.drafter())) {
            drawn = draw(cpu, model, quick ? 2 : 6, quick ? 12 : 48);
            want = gradients(run, cpu, model, drawn);
        }
        try (Ops gpu = run.open(); LoadedModel model = LoadedModel.load(gpu, models.actor(), models.drafter())) {
            gradients(run, gpu, model, drawn).forEach((loss, got) -> {
                double error = error(want.get(loss).values, got.values);
                double lossError = Math.abs(got.loss - want.get(loss).loss) / Math.max(1e-6, Math.abs(want.get(loss).loss));
                String message = error <= TOLERANCE && lossError <= TOLERANCE ? "" : "more than " + TOLERANCE;
                rows.addObject().put("loss", loss).put("elements", got.values.length).put("relative_error", error)
                    .put("relative_error_of_loss", lossError).put("passed", message.isEmpty());
                run.item(loss, String.format(Locale.ROOT, "%d elements off by %.1e of their norm, the loss by %.1e", got.values.length,
                    error, lossError), message);
            });
        }
    }

    private static List<Trajectory> draw(Ops ops, LoadedModel model, int prompts, int maxTokens) {
        ArithmeticProblems problems = new ArithmeticProblems(SEED, 2, 8, 0.75, 99, 999);
        List<PromptGroup> groups = new ArrayList<>();
        int longest = 1;
        for (int i = 0; i < prompts; i++) {
            int[] prompt = model.tokenizer().encode(problems.heldOut(i).prompt());
            longest = Math.max(longest, prompt.length);
            groups.add(new PromptGroup(prompt, 2, 2L * i));
        }
        RolloutLimits limits = new RolloutLimits(4, longest, maxTokens, 16, 0, TOP_K);
        try (RolloutEngine engine = new RolloutEngine(ops, model.actor(), model.drafter(), limits,
            SamplingParams.temperature(1f), SEED, new StopRule(model.actor().config().eosTokenIds(), List.of()),
            new FixedPolicy(SpeculationPlan.OFF), false, 1f)) {
            return engine.generate(groups).trajectories();
        }
    }

    private static Map<String, Gradient> gradients(StageRun run, Ops ops, LoadedModel model, List<Trajectory> drawn) {
        Map<String, Gradient> found = new LinkedHashMap<>();
        for (String loss : List.of("supervised", "policy", "policy with KL term", "distillation")) {
            if (run.wants(loss)) {
                run.checkTime();
                found.put(loss, switch (loss) {
                    case "supervised" -> supervised(ops, model, drawn);
                    case "policy" -> policy(ops, model, drawn, 0f);
                    case "policy with KL term" -> policy(ops, model, drawn, 0.1f);
                    default -> distillation(ops, model, drawn);
                });
            }
        }
        return found;
    }

    private static AdamW optimizer(Ops ops, ParameterSet weights) {
        return new AdamW(ops, weights, new AdamW.Settings(BETA, 0.95f, 1e-8f, 0f, 0f));
    }

    private static int rows(List<Trajectory> drawn) {
        return drawn.stream().mapToInt(Trajectory::length).sum();
    }

    private static Gradient supervised(Ops ops, LoadedModel model, List<Trajectory> drawn) {
        try (AdamW optimizer = optimizer(ops, model.actor().weights());
             SupervisedTrainer trainer = new SupervisedTrainer(ops, model.actor(), optimizer, rows(drawn))) {
            double loss = trainer.gradients(drawn.stream()
                .map(t -> new SupervisedTrainer.Demonstration(t.prompt(), t.response())).toList());
            return new Gradient(loss, floats(optimizer.gradients(), 1));
        }
    }

    private static Gradient policy(Ops ops, LoadedModel model, List<Trajectory> drawn, float klCoefficient) {
        float[] advantages = new float[drawn.size()];
        for (int i = 0; i < advantages.length; i++) {
            advantages[i] = i % 2 == 0 ? 1 : -0.7f;
        }
        // Against itself the actor would have no divergence to learn from.
        ParameterSet others = new ParameterSet(ops, "reference weights", model.actor().config().tensors());
        Initializer.fill(others, model.actor().config().numHiddenLayers(), SEED);
        try (Actor reference = new Actor(ops, model.actor().config(), others); AdamW optimizer = optimizer(ops, model.actor().weights());
             PolicyTrainer trainer = trainer(ops, model, reference, optimizer, klCoefficient, rows(drawn))) {
            return new Gradient(trainer.accumulate(drawn, advantages), floats(optimizer.gradients(), 1));
        }
    }

    private static PolicyTrainer trainer(Ops ops, LoadedModel model, Actor reference, AdamW optimizer, float klCoefficient, int rows) {
        reference.publish();
        return new PolicyTrainer(ops, model.actor(), reference, optimizer, new PolicyLoss(0.2f, 0.2f, klCoefficient),
            new PolicyTrainer.Schedule(1, 1, false, SamplingParams.temperature(1f)), rows);
    }

    /** The learner keeps its gradients to itself: without a learning rate the first moments after one step are a tenth of them. */
    private static Gradient distillation(Ops ops, LoadedModel model, List<Trajectory> drawn) {
        int rows = rows(drawn);
        try (AdamW optimizer = optimizer(ops, model.drafter().weights());
             ReplayBuffer replay = new ReplayBuffer(rows, 3 * model.actor().config().hiddenSize(), TOP_K);
             DraftLearner learner = new DraftLearner(ops, model.drafter(), optimizer, replay, UNROLL,
                 DraftLearner.Settings.plain(1, rows, 0.8f, 1f, 0f, SEED))) {
            for (int i = 0; i < drawn.size(); i++) {
                replay.add(drawn.get(i), i % 2 == 0 ? 1f : 0.5f);
            }
            double loss = learner.update(0).divergence();
            return new Gradient(loss, floats(optimizer.firstMoments(), 1 / (1 - BETA)));
        }
    }

    private static float[] floats(ParameterSet set, float scale) {
        float[] values = set.download().toArray(ValueLayout.JAVA_FLOAT);
        for (int i = 0; i < values.length; i++) {
            values[i] *= scale;
        }
        return values;
    }

    /** Norm of the difference over the norm of what is wanted; NaN where that is nothing. */
    static double error(float[] want, float[] got) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < want.length; i++) {
            difference += Math.pow((double) want[i] - got[i], 2);
            norm += Math.pow(want[i], 2);
        }
        return Math.sqrt(difference / norm);
    }
}

package org.respec.tools.check;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.gpu.GpuOps;

/**
 * Whole responses of a model on a device against the CPU's, in fp32: greedy and at temperature 1, with speculation off and on, with
 * graphs on and off. The CPU draws without speculation, since tokens do not depend on it. Graphs must not change a bit.
 */
final class GenerateCheck {
    static final List<Float> TEMPERATURES = List.of(0f, 1f);
    static final List<String> SPECULATIONS = List.of("off", "4x2x8");
    /** Many times what rounding in fp32 does to a log-probability, and far less than any real error. */
    static final double TOLERANCE = 1e-3;
    private static final long SEED = 77;
    private static final int BATCH = 4;

    /**
     * One setting's outcome.
     *
     * @param graphs whether the device replayed its steps as graphs
     * @param tokens tokens the CPU drew
     * @param equal tokens the device drew alike, up to each response's first difference
     * @param nearTies responses that part where two tokens were as good as equal: no failure
     * @param largestDifference of log-probabilities of equal tokens
     * @param message why it failed, or empty
     */
    record Result(float temperature, String speculation, boolean graphs, int tokens, int equal, int nearTies, double largestDifference,
                  String message) {
        Result failed(String why) {
            return new Result(temperature, speculation, graphs, tokens, equal, nearTies, largestDifference, why);
        }

        String name() {
            return GenerateCheck.name(temperature, speculation, graphs);
        }

        boolean passed() {
            return message.isEmpty();
        }
    }

    private final Ops truth;
    private final GpuOps device;
    private final Path actor;
    private final Path drafter;
    private final int prompts;
    private final int maxTokens;

    GenerateCheck(Ops truth, GpuOps device, Path actor, Path drafter, int prompts, int maxTokens) {
        this.truth = truth;
        this.device = device;
        this.actor = actor;
        this.drafter = drafter;
        this.prompts = prompts;
        this.maxTokens = maxTokens;
    }

    /** What a setting is called; {@code --only} goes by it. */
    static String name(float temperature, String speculation, boolean graphs) {
        return "temperature " + (int) temperature + ", speculation " + speculation + ", graphs " + (graphs ? "on" : "off");
    }

    /** Runs the settings whose names are wanted, and hands out each one's outcome. */
    void run(Predicate<String> wanted, Consumer<Result> outcomes) {
        try (LoadedModel onTruth = LoadedModel.load(truth, actor, null); LoadedModel onDevice = LoadedModel.load(device, actor, drafter)) {
            for (float temperature : TEMPERATURES) {
                List<Trajectory> want = null;
                for (String speculation : SPECULATIONS) {
                    List<Trajectory> first = null;
                    for (boolean graphs : new boolean[] {true, false}) {
                        if (wanted.test(name(temperature, speculation, graphs))) {
                            want = want == null ? draw(truth, onTruth, temperature, "off") : want;
                            device.useGraphs(graphs);
                            List<Trajectory> got = draw(device, onDevice, temperature, speculation);
                            Result result = compare(temperature, speculation, graphs, want, got);
                            first = first == null ? got : first;
                            outcomes.accept(result.passed() && !same(first, got)
                                ? result.failed("tokens or log-probabilities are not bit for bit those drawn with graphs") : result);
                        }
                    }
                }
            }
        } finally {
            device.useGraphs(true);
        }
    }

    private static boolean same(List<Trajectory> a, List<Trajectory> b) {
        return IntStream.range(0, a.size()).allMatch(i -> Arrays.equals(a.get(i).response(), b.get(i).response())
            && Arrays.equals(a.get(i).logProbs(), b.get(i).logProbs()));
    }

    private List<Trajectory> draw(Ops ops, LoadedModel loaded, float temperature, String speculation) {
        ArithmeticProblems problems = new ArithmeticProblems(SEED, 2, 8, 0.75, 99, 999);
        List<PromptGroup> groups = new ArrayList<>();
        int longest = 1;
        for (int i = 0; i < prompts; i++) {
            int[] prompt = loaded.tokenizer().encode(problems.heldOut(i).prompt());
            longest = Math.max(longest, prompt.length);
            groups.add(new PromptGroup(prompt, 1, i));
        }
        RunConfig.Speculation setting = RunConfig.Speculation.of(speculation);
        boolean off = setting.mode().equals("off");
        RolloutLimits limits = new RolloutLimits(BATCH, longest, maxTokens, 16, 0, 0);
        try (RolloutEngine engine = new RolloutEngine(ops, loaded.actor(), off ? null : loaded.drafter(), limits,
            SamplingParams.temperature(temperature), SEED, new StopRule(loaded.actor().config().eosTokenIds(), List.of()),
            PlanPolicies.of(setting, ops, loaded.actor(), loaded.drafter(), limits), !off, setting.sharpness())) {
            return engine.generate(groups).trajectories();
        }
    }

    /**
     * Compares responses. Where two part, each side's token is the one of the highest log-probability plus noise that it saw. Are both
     * sides' highest values the same to {@link #TOLERANCE}, it was a near tie that rounding decided; else one side is wrong.
     */
    static Result compare(float temperature, String speculation, boolean graphs, List<Trajectory> want, List<Trajectory> got) {
        int tokens = 0;
        int equal = 0;
        int nearTies = 0;
        double largest = 0;
        String message = "";
        for (int i = 0; i < want.size(); i++) {
            Trajectory a = want.get(i);
            Trajectory b = got.get(i);
            tokens += a.response().length;
            int t = 0;
            while (t < a.response().length && t < b.response().length && a.response()[t] == b.response()[t]) {
                largest = Math.max(largest, Math.abs((double) a.logProbs()[t] - b.logProbs()[t]));
                t++;
            }
            equal += t;
            if (t == a.response().length && t == b.response().length) {
                continue;
            }
            if (t == a.response().length || t == b.response().length) {
                message = "response " + i + " has " + b.response().length + " tokens, the CPU's " + a.response().length;
                continue;
            }
            double margin = Math.abs(highest(a, t, temperature) - highest(b, t, temperature));
            if (margin <= TOLERANCE) {
                nearTies++;
            } else {
                message = "token " + t + " of response " + i + " is " + b.response()[t] + ", the CPU's is " + a.response()[t]
                    + ", with a margin of " + margin;
            }
        }
        if (message.isEmpty() && !(largest <= TOLERANCE)) {
            message = "log-probabilities differ by " + largest + ", more than " + TOLERANCE;
        }
        return new Result(temperature, speculation, graphs, tokens, equal, nearTies, largest, message);
    }

    private static double highest(Trajectory of, int t, float temperature) {
        double noise = temperature > 0 ? NoiseField.at(SEED, of.requestId(), of.prompt().length + t, of.response()[t]) : 0;
        return of.logProbs()[t] + noise;
    }
}

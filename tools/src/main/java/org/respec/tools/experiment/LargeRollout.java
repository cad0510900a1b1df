package org.respec.tools.experiment;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.respec.engine.rollout.DecodeBench;
import org.respec.engine.rollout.ImposedAcceptance;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.RolloutStats;
import org.respec.engine.rollout.SpeedComparison;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.bench.DecodeShape;

/**
 * Whole rollouts of a model whose weights no cache holds, so that a pass of few rows takes as long as reading them, as on a GPU; the
 * bundled model's are too few for that. These weights mean nothing: acceptance is set and not drawn, and so are the lengths of responses,
 * which are log-normal. All requests begin at once; in the end, few are live for long.
 */
final class LargeRollout {
    /** Chains: the first choice is all that is ever accepted. */
    private static final List<String> STATIC = List.of("off", "1x1x1", "2x1x2", "3x1x3", "4x1x4", "6x1x6");
    /**
     * Share of trees whose level is accepted after the one before was. With three levels a step gains 2.9 tokens; 2.8 and 3.3 are reported
     * of Qwen3-8B in reinforcement learning (NeMo-RL). The bundled drafter reaches 0.9 a level.
     */
    private static final double[] ACCEPTANCE = {0.8, 0.78, 0.76, 0.75};
    private static final int PROMPT = 16;
    private static final int PAGE = 16;

    private final DecodeShape shape;
    private final int requests;
    private final int longest;

    /** Of so many requests, of which the longest has about {@code longest} tokens. */
    LargeRollout(DecodeShape shape, int requests, int longest) {
        this.shape = shape;
        this.requests = requests;
        this.longest = longest;
    }

    /** The shape that suits a device. */
    static DecodeShape shape(Ops ops) {
        return ops.uuid().isEmpty() ? DecodeShape.MEDIUM : DecodeShape.QWEN_7B;
    }

    /**
     * What was measured.
     *
     * @param all every plan, off first and the adaptive one last
     * @param duel the two fastest static plans and the adaptive one, in further rounds
     */
    record Measured(PlanSpeeds all, PlanSpeeds duel) {
    }

    /**
     * Measures every plan once with the lengths of each seed, and then {@code repeats} times, or as often as a duel takes, those it comes
     * down to.
     *
     * @param dtype of weights, activations and caches
     * @param lengths takes a row for each seed
     */
    Measured measure(Lab lab, Ops ops, DType dtype, int repeats, Table lengths) {
        List<List<PromptGroup>> seeds = new ArrayList<>();
        for (int seed = 0; seed < lab.seeds(); seed++) {
            int[] drawn = LongTail.lengths(requests, longest, seed);
            LongTail.describe(lengths, shape.title(), seed, drawn);
            seeds.add(prompts(drawn, (long) seed << 32));
        }
        List<String> plans = new ArrayList<>(STATIC);
        plans.add("adaptive");
        List<RolloutEngine> engines = new ArrayList<>();
        try (DecodeBench model = new DecodeBench(ops, dtype, shape.actor(), shape.drafter())) {
            try {
                plans.forEach(plan -> engines.add(engine(ops, model, plan, lab.output().resolve("large-costs"))));
                // A round to warm up: it takes many steps of each engine.
                List<List<PromptGroup>> rounds = new ArrayList<>(List.of(seeds.getFirst()));
                rounds.addAll(seeds);
                List<List<RolloutStats>> stats = SpeedComparison.measure(contestants(engines), rounds, 0);
                PlanSpeeds all = new PlanSpeeds(requests, plans, stats.stream().map(of -> of.subList(1, of.size())).toList());
                List<String> finalists = all.finalists();
                List<RolloutEngine> left = finalists.stream().map(plan -> engines.get(plans.indexOf(plan))).toList();
                List<List<RolloutStats>> further = SpeedComparison.measure(contestants(left), GapOne.repeated(seeds, repeats), 0);
                return new Measured(all, new PlanSpeeds(requests, finalists, further));
            } finally {
                engines.forEach(RolloutEngine::close);
            }
        }
    }

    private static List<SpeedComparison.Contestant> contestants(List<RolloutEngine> engines) {
        return engines.stream().map(SpeedComparison.Contestant::of).toList();
    }

    private List<PromptGroup> prompts(int[] lengths, long first) {
        return IntStream.range(0, lengths.length).mapToObj(i -> {
            int[] prompt = IntStream.range(0, PROMPT).map(t -> (int) ((t * 7L + (first + i) * 13L + 1) % shape.actor().vocabSize()))
                .toArray();
            return new PromptGroup(prompt, 1, first + i, lengths[i]);
        }).toList();
    }

    private RolloutEngine engine(Ops ops, DecodeBench model, String plan, Path costs) {
        RolloutLimits limits = new RolloutLimits(requests, PROMPT, longest, PAGE, 0, 0);
        RunConfig.Speculation base = RunConfig.Speculation.of(plan);
        RunConfig.Speculation setting = new RunConfig.Speculation(base.mode(), base.plan(), base.maxDepth(), 1, base.maxTokens(),
            base.margin(), base.drafting(), base.utilization(), costs);
        PlanPolicy policy = PlanPolicies.of(setting, ops, model.actor(), model.drafter(), limits);
        RolloutEngine engine = new RolloutEngine(ops, model.actor(), base.needsDrafter() ? model.drafter() : null, limits,
            SamplingParams.temperature(1), 1, new StopRule(List.of(), List.of()), policy, base.drafting());
        engine.impose(new ImposedAcceptance(ACCEPTANCE));
        return engine;
    }
}

package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.RolloutStats;
import org.respec.engine.rollout.SpeedComparison;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.run.Devices;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.Tasks;
import org.respec.engine.task.Task;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.bench.DecodeShape;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;
import org.respec.tools.report.Series;

/** Gap 1: a plan that is right for one batch is wrong for another, and a rollout passes through all of them. */
final class GapOne implements Experiment {
    private static final List<String> STATIC = List.of("off", "1x1x1", "2x1x2", "3x1x3", "3x2x6", "4x2x8", "6x4x24");
    private static final String ADAPTIVE = "adaptive";
    private static final double BAR = 0.98;
    private static final int LARGEST = 64;
    /** Sets of engines, and rounds of each with every seed, that compare adaptive with the best of the others. */
    private static final int DUELS = 3;
    private static final int DUEL_ROUNDS = 15;
    /** Problems of which those of a whole rollout are picked. */
    private static final int CANDIDATES = 16 * LARGEST;

    @Override
    public String name() {
        return "gap1";
    }

    @Override
    public String question() {
        return "How does the speed-up of each plan depend on the batch, and does the adaptive one keep the best of them?";
    }

    @Override
    public Outcome run(Lab lab) {
        Table table = new Table("batches", "Tokens per second by live requests", "batch", "plan", "tokens_per_second", "speedup",
            "accept_length", "speculated");
        Table best = new Table("adaptive", "Adaptive against the best static plan (paired, round by round)", "batch", "best_static",
            "ratio");
        Table lengths = new Table("lengths", "Tokens of the whole rollouts' responses", "model", "seed", "requests", "mean", "median",
            "p90", "longest");
        List<Claim> claims = new ArrayList<>();
        List<PlanSpeeds> all = new ArrayList<>();
        RunConfig config = lab.config(List.of());
        List<String> plans = new ArrayList<>(STATIC);
        plans.add(ADAPTIVE);
        try (Ops ops = Devices.open(config.run().device(), config.run().threads());
             LoadedModel model = LoadedModel.load(ops, config.model().actor(), config.model().drafter())) {
            Task task = Tasks.of(config.task(), config.run().seed(), model);
            for (int batch : new int[] {1, 4, 16, LARGEST}) {
                int requests = Math.max(lab.choose(16, 48), 2 * batch);
                List<List<PromptGroup>> seeds = perSeed(lab, seed -> prompts(task, (long) seed * requests, requests));
                Function<String, RolloutEngine> maker = plan -> engine(config, ops, model, task, plan, batch);
                PlanSpeeds measured = compare(lab, maker, batch, plans, seeds);
                all.add(measured);
                report(table, Integer.toString(batch), measured);
                judge(best, claims, Integer.toString(batch), duel(lab, maker, measured, seeds), "at batch " + batch, BAR);
                if (batch == LARGEST) {
                    // All begin at once and few take long: every batch occurs, down to the last request.
                    List<List<PromptGroup>> tails = perSeed(lab, seed -> longTail(task, maker, seed, lengths));
                    PlanSpeeds tail = compare(lab, maker, batch, plans, tails);
                    report(table, "whole rollout", tail);
                    judge(best, claims, "whole rollout", duel(lab, maker, tail, tails), "over a whole rollout of the bundled model", 1);
                }
                lab.log().accept("gap1: batch " + batch + " done");
            }
            DecodeShape shape = LargeRollout.shape(ops);
            LargeRollout.Measured large = new LargeRollout(shape, LARGEST, lab.choose(64, 256))
                .measure(lab, ops, lab.choose(1, 2), lengths);
            String where = "whole rollout, " + shape.title();
            report(table, where, large.all());
            judge(best, claims, where, large.duel(), "over a whole rollout of a model of shape " + shape.title(), 1);
        }
        return new Outcome(List.of(table, best, lengths), List.of(new Outcome.Chart("gap1", plot(plans, all))), claims);
    }

    /** How fast all plans are, by an engine of each. */
    private static PlanSpeeds compare(Lab lab, Function<String, RolloutEngine> maker, int batch, List<String> plans,
                                      List<List<PromptGroup>> seeds) {
        return new PlanSpeeds(batch, plans, measure(maker, plans, repeated(seeds, lab.choose(2, 4)), lab.choose(4.0, 20.0)));
    }

    /**
     * Adaptive against the two static plans that were the fastest, by other engines and in more rounds. Two engines that do the same may
     * differ by some per cent all their life, so that there are several of each; and all at once leave no cache for each other.
     */
    private static PlanSpeeds duel(Lab lab, Function<String, RolloutEngine> maker, PlanSpeeds among, List<List<PromptGroup>> seeds) {
        List<String> plans = among.finalists();
        List<List<RolloutStats>> stats = new ArrayList<>();
        for (int copy = 0; copy < lab.choose(1, DUELS); copy++) {
            stats.addAll(measure(maker, plans, repeated(seeds, lab.choose(4, DUEL_ROUNDS)), lab.choose(2.0, 10.0)));
        }
        return new PlanSpeeds(among.batch(), plans, stats);
    }

    private static List<List<RolloutStats>> measure(Function<String, RolloutEngine> maker, List<String> plans,
                                                    List<List<PromptGroup>> rounds, double warmUp) {
        List<RolloutEngine> engines = new ArrayList<>();
        try {
            plans.forEach(plan -> engines.add(maker.apply(plan)));
            return SpeedComparison.measure(engines, rounds, warmUp);
        } finally {
            engines.forEach(RolloutEngine::close);
        }
    }

    /** Every seed has prompts and noise of its own; it is measured some times. */
    static List<List<PromptGroup>> repeated(List<List<PromptGroup>> seeds, int times) {
        return Collections.nCopies(times, seeds).stream().flatMap(List::stream).toList();
    }

    private static List<List<PromptGroup>> perSeed(Lab lab, IntFunction<List<PromptGroup>> prompts) {
        return IntStream.range(0, lab.seeds()).mapToObj(prompts).toList();
    }

    private static List<PromptGroup> prompts(Task task, long first, int count) {
        List<PromptGroup> prompts = new ArrayList<>();
        for (long number = first; number < first + count; number++) {
            prompts.add(new PromptGroup(task.encode(task.problems().training(number)), 1, number));
        }
        return prompts;
    }

    private static List<PromptGroup> longTail(Task task, Function<String, RolloutEngine> maker, int seed, Table lengths) {
        List<PromptGroup> prompts = prompts(task, (long) seed * CANDIDATES, CANDIDATES);
        List<Trajectory> drawn;
        try (RolloutEngine engine = maker.apply("off")) {
            drawn = engine.generate(prompts).trajectories();
        }
        List<LongTail.Candidate> picked = LongTail.pick(IntStream.range(0, CANDIDATES)
            .mapToObj(i -> new LongTail.Candidate(prompts.get(i), drawn.get(i).response().length)).toList(), LARGEST, seed);
        LongTail.describe(lengths, "bundled", seed, picked.stream().mapToInt(LongTail.Candidate::length).toArray());
        return picked.stream().map(LongTail.Candidate::prompt).toList();
    }

    private static RolloutEngine engine(RunConfig config, Ops ops, LoadedModel model, Task task, String plan, int batch) {
        RunConfig.Speculation setting = RunConfig.Speculation.of(plan);
        boolean off = plan.equals("off");
        RolloutLimits limits = new RolloutLimits(batch, task.maxPromptTokens(), config.rollout().maxTokens(),
            config.rollout().pageSize(), 0, 0);
        SamplingParams sampling = new SamplingParams(config.rollout().temperature(), config.rollout().topK(), config.rollout().topP());
        StopRule stop = new StopRule(model.actor().config().eosTokenIds(), List.of());
        return new RolloutEngine(ops, model.actor(), off ? null : model.drafter(), limits, sampling, config.run().seed(), stop,
            PlanPolicies.of(setting, ops, model.actor(), model.drafter(), limits), !off, setting.sharpness());
    }

    private static void report(Table table, String where, PlanSpeeds measured) {
        for (int plan = 0; plan < measured.plans().size(); plan++) {
            table.add(where, measured.plans().get(plan), Spread.of(measured.speeds(plan)), measured.ratio(plan, 0),
                Spread.of(measured.of(plan).stream().mapToDouble(RolloutStats::acceptLength).toArray()),
                Spread.of(measured.of(plan).stream().mapToDouble(GapOne::speculated).toArray()));
        }
    }

    private static void judge(Table best, List<Claim> claims, String where, PlanSpeeds duel, String words, double bar) {
        String rival = duel.best();
        Spread ratio = duel.ofBest();
        best.add(where, rival, ratio);
        claims.add(Claim.atLeast("adaptive over the best static plan (" + rival + ") " + words, ratio.median(), bar));
    }

    /** Share of the steps that speculated: all of a static plan's, but where pages run out. */
    private static double speculated(RolloutStats stats) {
        return 1 - (double) stats.plans().getOrDefault("off", 0L) / stats.steps();
    }

    private static Plot plot(List<String> plans, List<PlanSpeeds> all) {
        double[] batches = all.stream().mapToDouble(PlanSpeeds::batch).toArray();
        List<Series> series = new ArrayList<>();
        for (int i = 0; i < plans.size(); i++) {
            int plan = i;
            List<Spread> ratios = all.stream().map(m -> m.ratio(plan, 0)).toList();
            series.add(new Series(plans.get(plan), batches, ratios.stream().mapToDouble(Spread::median).toArray(),
                ratios.stream().mapToDouble(Spread::min).toArray(), ratios.stream().mapToDouble(Spread::max).toArray()));
        }
        return new Plot.Lines("Speed over off, by live requests (bands: least to most)", Axis.log2("live requests"),
            Axis.fromZero("times off"), series, 1);
    }
}

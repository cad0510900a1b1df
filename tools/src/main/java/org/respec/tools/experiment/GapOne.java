package org.respec.tools.experiment;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PlanPolicy;
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
    /** A round's requests over those of a batch: in its last steps fewer are live than a row says, which is what whole rollouts are for. */
    private static final int WAVES = 6;

    /** Null for one by the lab. */
    private final Extent fixedExtent;

    GapOne() {
        this(null);
    }

    GapOne(Extent extent) {
        this.fixedExtent = extent;
    }

    /**
     * How much is measured.
     *
     * @param batches most live requests, ascending; with the last a whole rollout begins
     * @param plans static ones, two or more, off first
     * @param requests of a round, or {@link #WAVES} batches where that is more
     * @param candidates problems of which those of a whole rollout are picked
     * @param costs folder in which adaptive keeps what passes take, so that it is measured once for each batch
     * @param all how every plan is measured
     * @param duel how adaptive is compared with the best of the others
     * @param shape of the large model; null for what suits the device
     * @param longest tokens of its longest responses
     * @param largeRounds of its duel, for each seed
     */
    record Extent(List<Integer> batches, List<String> plans, int requests, int candidates, Path costs, Rounds all, Rounds duel,
                  DecodeShape shape, int longest, int largeRounds) {
        static Extent of(Lab lab) {
            return new Extent(List.of(1, 4, 16, LARGEST), STATIC, lab.choose(16, 48), 16 * LARGEST, lab.output().resolve("costs"),
                new Rounds(1, lab.choose(2, 4), lab.choose(4.0, 20.0)), new Rounds(lab.choose(1, 10), lab.choose(4, 2),
                lab.choose(2.0, 10.0)), null, lab.choose(64, 256), lab.choose(1, 2));
        }
    }

    /**
     * How engines are measured.
     *
     * @param copies sets of engines, one after another
     * @param rounds of each for every seed
     * @param warmUp seconds at most
     */
    record Rounds(int copies, int rounds, double warmUp) {
    }

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
        Extent extent = fixedExtent != null ? fixedExtent : Extent.of(lab);
        List<String> plans = new ArrayList<>(extent.plans);
        plans.add(ADAPTIVE);
        int largest = extent.batches.getLast();
        try (Ops ops = Devices.open(config.run()); LoadedModel model = Lab.load(ops, config)) {
            Task task = Tasks.of(config.task(), config.run().seed(), model);
            for (int batch : extent.batches) {
                int requests = Math.max(extent.requests, WAVES * batch);
                List<List<PromptGroup>> seeds = perSeed(lab, seed -> prompts(task, (long) seed * requests, requests));
                Bench bench = new Bench(config, ops, model, task, extent.costs, batch);
                PlanSpeeds measured = compare(extent.all, bench, plans, seeds);
                all.add(measured);
                report(table, Integer.toString(batch), measured);
                judge(best, claims, Integer.toString(batch), duel(extent.duel, bench, measured, seeds), "at batch " + batch, BAR);
                lab.log().accept("gap1: batch " + batch + " done");
            }
            // All begin at once and few take long: every batch occurs, down to the last request.
            Bench bench = new Bench(config, ops, model, task, extent.costs, largest);
            List<List<PromptGroup>> tails = perSeed(lab,
                seed -> longTail(prompts(task, (long) seed * extent.candidates, extent.candidates), bench, seed, lengths));
            PlanSpeeds tail = compare(extent.all, bench, plans, tails);
            report(table, "whole rollout", tail);
            judge(best, claims, "whole rollout", duel(extent.duel, bench, tail, tails), "over a whole rollout of the bundled model", 1);
            lab.log().accept("gap1: whole rollout done");
            DecodeShape shape = extent.shape != null ? extent.shape : LargeRollout.shape(ops);
            LargeRollout.Measured large = new LargeRollout(shape, largest, extent.longest)
                .measure(lab, ops, Devices.dtype(config.run(), ops), extent.largeRounds, lengths);
            String where = "whole rollout, " + shape.title();
            report(table, where, large.all());
            judge(best, claims, where, large.duel(), "over a whole rollout of a model of shape " + shape.title(), 1);
        }
        return new Outcome(List.of(table, best, lengths), List.of(new Outcome.Chart("gap1", plot(plans, all))), claims);
    }

    /** What engines are made of. */
    private record Bench(RunConfig config, Ops ops, LoadedModel model, Task task, Path costs, int batch) {
        RolloutEngine engine(String plan) {
            return engine(policy(plan), !plan.equals(STATIC.getFirst()));
        }

        RolloutEngine engine(PlanPolicy policy, boolean speculates) {
            SamplingParams sampling = new SamplingParams(config.rollout().temperature(), config.rollout().topK(),
                config.rollout().topP());
            StopRule stop = new StopRule(model.actor().config().eosTokenIds(), List.of());
            return new RolloutEngine(ops, model.actor(), speculates ? model.drafter() : null, limits(), sampling, config.run().seed(), stop,
                policy, speculates, RunConfig.Speculation.of(ADAPTIVE).sharpness());
        }

        PlanPolicy policy(String plan) {
            return PlanPolicies.of(RunConfig.Speculation.of(plan).withCostCache(costs), ops, model.actor(), model.drafter(), limits());
        }

        private RolloutLimits limits() {
            return new RolloutLimits(batch, task.maxPromptTokens(), config.rollout().maxTokens(), config.rollout().pageSize(), 0, 0);
        }
    }

    /** How fast all plans are, each in engines of its own. */
    private static PlanSpeeds compare(Rounds rounds, Bench bench, List<String> plans, List<List<PromptGroup>> seeds) {
        List<List<RolloutStats>> stats = new ArrayList<>();
        for (int copy = 0; copy < rounds.copies; copy++) {
            List<RolloutEngine> engines = new ArrayList<>();
            try {
                plans.forEach(plan -> engines.add(bench.engine(plan)));
                stats.addAll(SpeedComparison.measure(engines.stream().map(SpeedComparison.Contestant::of).toList(),
                    repeated(seeds, rounds.rounds), rounds.warmUp));
            } finally {
                engines.forEach(RolloutEngine::close);
            }
        }
        return new PlanSpeeds(bench.batch, plans, stats);
    }

    /**
     * Adaptive against the two static plans that were the fastest, in more rounds. Two engines that do the same may differ by some per cent
     * all their life, by where their memory lies (six of 3x1x3 at 4 requests: -3.0 to +3.5 %), so that those that speculate take turns in
     * one; and what an adaptive one learns differs too, so that there are ten of them, and few rounds of each. Off has an engine of its
     * own, which keeps nothing for a drafter.
     */
    private static PlanSpeeds duel(Rounds rounds, Bench bench, PlanSpeeds among, List<List<PromptGroup>> seeds) {
        List<String> plans = among.finalists();
        List<List<RolloutStats>> stats = new ArrayList<>();
        for (int copy = 0; copy < rounds.copies; copy++) {
            TurnsPolicy turns = new TurnsPolicy(plans.stream().map(bench::policy).toList());
            try (RolloutEngine shared = bench.engine(turns, true); RolloutEngine plain = bench.engine(STATIC.getFirst())) {
                List<SpeedComparison.Contestant> contestants = new ArrayList<>();
                for (int p = 0; p < plans.size(); p++) {
                    int plan = p;
                    contestants.add(plans.get(p).equals(STATIC.getFirst()) ? SpeedComparison.Contestant.of(plain) : prompts -> {
                        turns.turnTo(plan);
                        return shared.generate(prompts).stats();
                    });
                }
                stats.addAll(SpeedComparison.measure(contestants, repeated(seeds, rounds.rounds), rounds.warmUp));
            }
        }
        return new PlanSpeeds(bench.batch, plans, stats);
    }

    /** Every seed has prompts and noise of its own; it is measured some times, and a single one often enough for {@link PlanSpeeds}. */
    static List<List<PromptGroup>> repeated(List<List<PromptGroup>> seeds, int times) {
        int enough = Math.max(times, Math.ceilDiv(PlanSpeeds.LEAST_ROUNDS, seeds.size()));
        return Collections.nCopies(enough, seeds).stream().flatMap(List::stream).toList();
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

    private static List<PromptGroup> longTail(List<PromptGroup> prompts, Bench bench, int seed, Table lengths) {
        List<Trajectory> drawn;
        try (RolloutEngine engine = bench.engine(STATIC.getFirst())) {
            drawn = engine.generate(prompts).trajectories();
        }
        List<LongTail.Candidate> picked = LongTail.pick(IntStream.range(0, prompts.size())
            .mapToObj(i -> new LongTail.Candidate(prompts.get(i), drawn.get(i).response().length)).toList(), bench.batch, seed);
        LongTail.describe(lengths, "bundled", seed, picked.stream().mapToInt(LongTail.Candidate::length).toArray());
        return picked.stream().map(LongTail.Candidate::prompt).toList();
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

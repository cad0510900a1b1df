package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.RolloutStats;
import org.respec.engine.rollout.SpeedComparison;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.run.Devices;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.Tasks;
import org.respec.engine.task.Task;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;
import org.respec.tools.report.Series;

/** Gap 1: a plan that is right for one batch is wrong for another, and a rollout passes through all of them. */
final class GapOne implements Experiment {
    private static final List<String> STATIC = List.of("off", "1x1x1", "2x1x2", "3x2x6", "4x2x8", "6x4x24");
    private static final String ADAPTIVE = "adaptive";
    private static final double BAR = 0.98;
    private static final int LARGEST = 64;

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
        List<Claim> claims = new ArrayList<>();
        List<Measured> all = new ArrayList<>();
        RunConfig config = lab.config(List.of());
        List<String> plans = new ArrayList<>(STATIC);
        plans.add(ADAPTIVE);
        try (Ops ops = Devices.open(config.run().device(), config.run().threads());
             LoadedModel model = LoadedModel.load(ops, config.model().actor(), config.model().drafter())) {
            Task task = Tasks.of(config.task(), config.run().seed(), model);
            for (int batch : new int[] {1, 4, 16, LARGEST}) {
                List<RolloutEngine> engines = new ArrayList<>();
                try {
                    plans.forEach(plan -> engines.add(engine(config, ops, model, task, plan, batch)));
                    int requests = Math.max(lab.choose(16, 24), 2 * batch);
                    Measured measured = measure(lab, task, engines, plans, requests, batch, lab.choose(4.0, 20.0), lab.choose(2, 8));
                    all.add(measured);
                    report(table, best, claims, Integer.toString(batch), measured, "at batch " + batch, BAR);
                    if (batch == LARGEST) {
                        // Many requests through few places, down to the last one: every batch occurs, most of all the smallest.
                        Measured tail = measure(lab, task, engines, plans, lab.choose(3, 6) * batch, batch, 0, lab.choose(2, 4));
                        report(table, best, claims, "whole rollout", tail, "over a whole rollout", 1);
                    }
                } finally {
                    engines.forEach(RolloutEngine::close);
                }
                lab.log().accept("gap1: batch " + batch + " done");
            }
        }
        return new Outcome(List.of(table, best), List.of(new Outcome.Chart("gap1", plot(plans, all))), claims);
    }

    /** Ratios to off and to each plan come from the same round, in which all ran the same prompts one after another. */
    private record Measured(int batch, List<String> plans, List<List<RolloutStats>> stats) {
        double[] speeds(int plan) {
            return stats.get(plan).stream().mapToDouble(RolloutStats::tokensPerSecond).toArray();
        }

        Spread ratio(int plan, int to) {
            double[] over = speeds(plan);
            double[] under = speeds(to);
            return Spread.of(IntStream.range(0, over.length).mapToDouble(i -> over[i] / under[i]).toArray());
        }

        int bestStatic() {
            int best = 0;
            for (int plan = 1; plan < STATIC.size(); plan++) {
                best = Spread.of(speeds(plan)).median() > Spread.of(speeds(best)).median() ? plan : best;
            }
            return best;
        }
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

    /** Every seed has prompts and noise of its own; it is measured {@code repeats} times. */
    private static Measured measure(Lab lab, Task task, List<RolloutEngine> engines, List<String> plans, int requests, int batch,
                                    double warmUp, int repeats) {
        List<List<PromptGroup>> rounds = new ArrayList<>();
        for (int repeat = 0; repeat < repeats; repeat++) {
            for (int seed = 0; seed < lab.seeds(); seed++) {
                List<PromptGroup> prompts = new ArrayList<>();
                for (int i = 0; i < requests; i++) {
                    long number = (long) seed * requests + i;
                    prompts.add(new PromptGroup(task.encode(task.problems().training(number)), 1, number));
                }
                rounds.add(prompts);
            }
        }
        return new Measured(batch, plans, SpeedComparison.measure(engines, rounds, warmUp));
    }

    private static void report(Table table, Table best, List<Claim> claims, String where, Measured measured, String words, double bar) {
        for (int plan = 0; plan < measured.plans().size(); plan++) {
            table.add(where, measured.plans().get(plan), Spread.of(measured.speeds(plan)), measured.ratio(plan, 0),
                Spread.of(measured.stats().get(plan).stream().mapToDouble(RolloutStats::acceptLength).toArray()),
                Spread.of(measured.stats().get(plan).stream().mapToDouble(GapOne::speculated).toArray()));
        }
        int rival = measured.bestStatic();
        Spread ratio = measured.ratio(STATIC.size(), rival);
        best.add(where, measured.plans().get(rival), ratio);
        claims.add(Claim.atLeast("adaptive over the best static plan (" + measured.plans().get(rival) + ") " + words,
            ratio.median(), bar));
    }

    /** Share of the steps that speculated: all of a static plan's, but where pages run out. */
    private static double speculated(RolloutStats stats) {
        return 1 - (double) stats.plans().getOrDefault("off", 0L) / stats.steps();
    }

    private static Plot plot(List<String> plans, List<Measured> all) {
        double[] batches = all.stream().mapToDouble(Measured::batch).toArray();
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

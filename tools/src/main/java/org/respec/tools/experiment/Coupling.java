package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.run.Devices;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.Tasks;
import org.respec.engine.sampling.CounterCoins;
import org.respec.engine.sampling.CoupledRule;
import org.respec.engine.sampling.Distributions;
import org.respec.engine.sampling.DraftPairs;
import org.respec.engine.sampling.LevelRule;
import org.respec.engine.sampling.RankedRule;
import org.respec.engine.sampling.RejectionRule;
import org.respec.engine.task.Task;
import org.respec.kernels.NoiseField;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;

/**
 * Acceptance of one level of a tree by how its children are chosen: on the distributions of a real actor and its drafter, and on the
 * synthetic ones by which the design chose coupling (section 4 of the design: Zipf-like p over 2,000 tokens, q = p with log-noise 1).
 */
final class Coupling implements Experiment {
    private static final List<LevelRule> RULES = List.of(new RankedRule(), new RejectionRule(), new CoupledRule());
    private static final double[] TEMPERATURES = {0, 0.6, 1};
    private static final int[] CHILDREN = {1, 2, 4};
    private static final int LEVELS = 3;

    private static final int ZIPF_TOKENS = 2000;
    /** Of p(x) ~ x^-s: the s for which all of the design's figures come out. */
    private static final double ZIPF_POWER = 1.5;
    /** Design's figures at temperature 1 by children, ranked, rejection, coupled. */
    private static final double[][] DESIGN = {{1, 0.28, 0.67, 0.62}, {4, 0.56, 0.86, 0.92}};
    private static final double TOLERANCE = 0.03;

    /** 0 for a number by the lab. */
    private final int prompts;

    Coupling() {
        this(0);
    }

    /** With so many responses of the model's own for each seed. */
    Coupling(int prompts) {
        this.prompts = prompts;
    }

    @Override
    public String name() {
        return "coupling";
    }

    @Override
    public String question() {
        return "Which children does the actor accept most: the drafter's likeliest, its samples, or those that share the actor's noise?";
    }

    /** One pair of distributions, at temperature 1. */
    private record Pair(int level, double[] p, double[] q) {
    }

    @Override
    public Outcome run(Lab lab) {
        Table table = new Table("acceptance", "Chance that a level is accepted, all levels before it being the actor's (mean over places; "
            + "spread over seeds)", "source", "temperature", "level", "children", "ranked", "rejection", "coupled");
        List<Claim> claims = new ArrayList<>();
        List<Outcome.Chart> charts = new ArrayList<>();
        Spread[][][][] zipf = measure(lab, seed -> zipf(lab.choose(400, 1000), seed), 1, lab.choose(10, 25));
        add(table, "zipf", zipf, 1);
        int hot = TEMPERATURES.length - 1;
        for (double[] figures : DESIGN) {
            int children = figures[0] == 1 ? 0 : CHILDREN.length - 1;
            for (int rule = 0; rule < RULES.size(); rule++) {
                double mean = zipf[hot][0][children][rule].mean();
                claims.add(new Claim(String.format(Locale.ROOT, "zipf, %d of %s children within %.2f of the design's figure",
                    CHILDREN[children], RULES.get(rule).name(), TOLERANCE), mean, figures[rule + 1],
                    Math.abs(mean - figures[rule + 1]) <= TOLERANCE));
            }
        }
        lab.log().accept("coupling: synthetic distributions done");
        RunConfig config = lab.config(List.of());
        try (Ops ops = Devices.open(config.run()); LoadedModel model = Lab.load(ops, config)) {
            int count = prompts > 0 ? prompts : lab.choose(64, 256);
            Spread[][][][] real = measure(lab, seed -> pairs(ops, model, config, count, seed), LEVELS, lab.choose(8, 16));
            add(table, "model", real, LEVELS);
            charts.add(new Outcome.Chart("coupling-model",
                plot("Acceptance per level, the model's own distributions, temperature 1, 4 children", real[hot], CHILDREN.length - 1)));
        }
        charts.add(new Outcome.Chart("coupling-zipf", bars(zipf[hot][0])));
        return new Outcome(List.of(table), charts, claims);
    }

    private interface Source {
        List<Pair> pairs(int seed);
    }

    /** Means over pairs and {@code draws} draws of each, spread over seeds: [temperature][level - 1][children][rule]. */
    private static Spread[][][][] measure(Lab lab, Source source, int levels, int draws) {
        double[][][][][] rates = new double[TEMPERATURES.length][levels][CHILDREN.length][RULES.size()][lab.seeds()];
        for (int seed = 0; seed < lab.seeds(); seed++) {
            int[] places = new int[levels];
            List<Pair> pairs = source.pairs(seed + 1);
            pairs.forEach(pair -> places[pair.level() - 1]++);
            for (int t = 0; t < TEMPERATURES.length; t++) {
                for (int i = 0; i < pairs.size(); i++) {
                    Pair pair = pairs.get(i);
                    double[] p = Distributions.tempered(pair.p(), TEMPERATURES[t]);
                    // Greedy drafts are the likeliest tokens by any rule: samples, too, come in q's order as the temperature falls to 0.
                    boolean greedy = TEMPERATURES[t] == 0;
                    double[] q = greedy ? pair.q() : Distributions.tempered(pair.q(), TEMPERATURES[t]);
                    for (int c = 0; c < CHILDREN.length; c++) {
                        for (int r = 0; r < RULES.size(); r++) {
                            LevelRule rule = greedy ? RULES.getFirst() : RULES.get(r);
                            CounterCoins coins = new CounterCoins(seed + 1, ((long) i * TEMPERATURES.length + t) * 64 + c * 8 + r);
                            int accepted = 0;
                            int tries = greedy ? 1 : draws;
                            for (int draw = 0; draw < tries; draw++) {
                                accepted += rule.draw(p, q, CHILDREN[c], coins).accepted() ? 1 : 0;
                            }
                            rates[t][pair.level() - 1][c][r][seed] += (double) accepted / tries / places[pair.level() - 1];
                        }
                    }
                }
            }
        }
        Spread[][][][] spreads = new Spread[TEMPERATURES.length][levels][CHILDREN.length][RULES.size()];
        for (int t = 0; t < TEMPERATURES.length; t++) {
            for (int level = 0; level < levels; level++) {
                for (int c = 0; c < CHILDREN.length; c++) {
                    for (int r = 0; r < RULES.size(); r++) {
                        spreads[t][level][c][r] = Spread.of(rates[t][level][c][r]);
                    }
                }
            }
        }
        return spreads;
    }

    private static List<Pair> zipf(int count, int seed) {
        List<Pair> pairs = new ArrayList<>();
        double[] p = new double[ZIPF_TOKENS];
        for (int x = 0; x < p.length; x++) {
            p[x] = Math.pow(x + 1, -ZIPF_POWER);
        }
        p = Distributions.normalised(p);
        for (int i = 0; i < count; i++) {
            double[] q = new double[p.length];
            for (int x = 0; x < q.length; x++) {
                q[x] = p[x] * Math.exp(normal(NoiseField.bits(seed, i, x)));
            }
            pairs.add(new Pair(1, p, Distributions.normalised(q)));
        }
        return pairs;
    }

    /** A standard normal variate from 64 uniform bits (Box and Muller, 1958). */
    private static double normal(long bits) {
        double u = ((bits >>> 32) + 0.5) * 0x1p-32;
        double v = ((bits & 0xffffffffL) + 0.5) * 0x1p-32;
        return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
    }

    /** Actor's and drafter's distributions along responses that the actor drew at temperature 1. */
    private static List<Pair> pairs(Ops ops, LoadedModel model, RunConfig config, int prompts, int seed) {
        Task task = Tasks.of(config.task(), seed, model);
        List<PromptGroup> groups = new ArrayList<>();
        for (int i = 0; i < prompts; i++) {
            groups.add(new PromptGroup(task.encode(task.problems().training(i)), 1, i));
        }
        RolloutLimits limits = new RolloutLimits(16, task.maxPromptTokens(), config.rollout().maxTokens(),
            config.rollout().pageSize(), 0, 1);
        List<Trajectory> drawn;
        try (RolloutEngine engine = new RolloutEngine(ops, model.actor(), model.drafter(), limits, SamplingParams.temperature(1), seed,
            new StopRule(model.actor().config().eosTokenIds(), List.of()), PlanPolicies.off(), false, 1f)) {
            drawn = engine.generate(groups).trajectories();
        }
        return DraftPairs.of(ops, model.actor(), model.drafter(), drawn, LEVELS).stream().map(pair -> new Pair(pair.level(),
            Distributions.softmax(pair.actor(), 0, pair.actor().length, 1),
            Distributions.softmax(pair.drafter(), 0, pair.drafter().length, 1))).toList();
    }

    private static void add(Table table, String source, Spread[][][][] spreads, int levels) {
        for (int t = 0; t < TEMPERATURES.length; t++) {
            for (int level = 0; level < levels; level++) {
                for (int c = 0; c < CHILDREN.length; c++) {
                    Spread[] by = spreads[t][level][c];
                    table.add(source, TEMPERATURES[t], level + 1, CHILDREN[c], by[0], by[1], by[2]);
                }
            }
        }
    }

    private static Plot plot(String title, Spread[][][] byLevel, int children) {
        List<String> places = new ArrayList<>();
        for (int level = 1; level <= byLevel.length; level++) {
            places.add("level " + level);
        }
        List<Plot.Layer> layers = new ArrayList<>();
        for (int r = 0; r < RULES.size(); r++) {
            double[] means = new double[byLevel.length];
            double[] deviations = new double[byLevel.length];
            for (int level = 0; level < byLevel.length; level++) {
                means[level] = byLevel[level][children][r].mean();
                deviations[level] = byLevel[level][children][r].sd();
            }
            layers.add(new Plot.Layer(RULES.get(r).name(), means, deviations));
        }
        return new Plot.Bars(title, "", Axis.share("accepted"), places, layers);
    }

    private static Plot bars(Spread[][] byChildren) {
        List<String> places = new ArrayList<>();
        List<Plot.Layer> layers = new ArrayList<>();
        for (int children : CHILDREN) {
            places.add(children == 1 ? "1 child" : children + " children");
        }
        for (int r = 0; r < RULES.size(); r++) {
            double[] means = new double[CHILDREN.length];
            double[] deviations = new double[CHILDREN.length];
            for (int c = 0; c < CHILDREN.length; c++) {
                means[c] = byChildren[c][r].mean();
                deviations[c] = byChildren[c][r].sd();
            }
            layers.add(new Plot.Layer(RULES.get(r).name(), means, deviations));
        }
        return new Plot.Bars("Acceptance of a level, Zipf-like p and noisy q, temperature 1", "", Axis.share("accepted"), places, layers);
    }
}

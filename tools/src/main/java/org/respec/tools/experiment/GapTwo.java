package org.respec.tools.experiment;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;
import org.respec.tools.report.Series;

/**
 * Gap 2: a frozen drafter goes stale as the actor learns; an online one is kept fresh, in turn with the actor or beside it. Asked of two
 * drafters: the one of the configuration, and one that has gone stale, since it was taught by the same actor some thousand steps earlier.
 * Chains are eight deep, since short ones hide what a drafter is worth: at four, both drafters are near all that can be gained.
 */
final class GapTwo implements Experiment {
    private static final Variant FROZEN = Variant.of("frozen", "distill.enabled=false");
    private static final String STALE = "stale-";
    /** What is judged: learning as the product has it, weighted by reward and beside every iteration. Others are listed beside it. */
    private static final Variant JUDGED = online("reward", true, 1);
    private static final int DEPTH = 8;
    private static final double BAR = 1.2;
    private static final double EXPOSED_BAR = 0.1;
    /** Iterations at the end of a run that count as its end. */
    private static final int END = 3;

    private final Function<Lab, Path> staleDrafter;

    GapTwo() {
        this(lab -> new StaleDrafter(lab).make(lab.output().resolve("gap2-stale")));
    }

    /** @param staleDrafter gives the folder of the drafter that has gone stale */
    GapTwo(Function<Lab, Path> staleDrafter) {
        this.staleDrafter = staleDrafter;
    }

    @Override
    public String name() {
        return "gap2";
    }

    @Override
    public String question() {
        return "How does the accept length go as the actor learns, with the drafter "
            + "frozen, taught uniformly or by reward, in turn or overlapped?";
    }

    private static Variant online(String weighting, boolean overlap, int interval) {
        return Variant.of(weighting + (overlap ? "-overlap-" : "-sync-") + interval, "distill.enabled=true",
            "distill.weighting=" + weighting, "distill.overlap=" + overlap, "distill.interval=" + interval,
            // ReSpec's form: an update beside the run overlaps the next rollout too.
            "distill.lag=" + (overlap ? 1 : 0));
    }

    private static List<Variant> variants(boolean quick) {
        List<Variant> variants = new ArrayList<>(List.of(FROZEN));
        for (String weighting : List.of("uniform", "reward")) {
            for (boolean overlap : new boolean[] {false, true}) {
                for (int interval : new int[] {1, 3, 5}) {
                    if (!quick || interval == 1 && weighting.equals("reward") == overlap) {
                        variants.add(online(weighting, overlap, interval));
                    }
                }
            }
        }
        return variants;
    }

    /** The same variants, but that they begin with another drafter, which has further to go and takes longer steps. */
    private static List<Variant> beginningWith(Path drafter, List<Variant> variants) {
        return variants.stream().map(variant -> new Variant(STALE + variant.name(),
            Stream.concat(variant.overrides().stream(),
                Stream.of("distill.learning_rate=0.001", "model.drafter=" + drafter.toAbsolutePath())).toList())).toList();
    }

    @Override
    public Outcome run(Lab lab) {
        List<String> common = new ArrayList<>(List.of("speculation.mode=fixed", "rollout.max_batch=16"));
        common.add("speculation.plan=" + new SpeculationPlan(DEPTH, 1, DEPTH));
        common.add("distill.unroll=" + DEPTH);
        common.add("train.iterations=" + lab.choose(10, 60));
        common.add("train.prompts_per_iteration=" + lab.choose(16, 32));
        PairedRuns runs = new PairedRuns(lab, name(), common);
        List<Variant> fresh = variants(lab.quick());
        List<Variant> stale = beginningWith(staleDrafter.apply(lab), lab.quick() ? List.of(FROZEN, JUDGED) : fresh);
        List<Claim> claims = new ArrayList<>();
        List<Outcome.Chart> charts = new ArrayList<>();
        List<Table> tables = new ArrayList<>();
        compare(runs.run(fresh), "fresh", "the drafter that the actor's present state taught", tables, charts, claims);
        compare(runs.run(stale), "stale", "a drafter that an earlier state of the actor taught", tables, charts, claims);
        return new Outcome(tables, charts, claims);
    }

    private static void compare(Map<Variant, List<Trace>> traces, String key, String words, List<Table> tables, List<Outcome.Chart> charts,
                                List<Claim> claims) {
        List<Variant> variants = List.copyOf(traces.keySet());
        Variant frozenOne = variants.getFirst();
        Table table = new Table(key, "Accept length, beginning with " + words + " (same trajectories for all; spread over seeds)",
            "drafter", "first", "last", "over_frozen", "drafter_seconds", "exposed_seconds");
        List<Claim> judged = new ArrayList<>();
        List<Claim> beside = new ArrayList<>();
        for (Variant variant : variants) {
            List<Trace> mine = traces.get(variant);
            List<Trace> frozen = traces.get(frozenOne);
            Spread over = Spread.of(IntStream.range(0, mine.size())
                .mapToDouble(i -> mine.get(i).last("/accept_length", END) / frozen.get(i).last("/accept_length", END)).toArray());
            table.add(variant.name(), Spread.of(mine.stream().mapToDouble(t -> t.series("/accept_length")[0]).toArray()),
                Spread.of(mine.stream().mapToDouble(t -> t.last("/accept_length", END)).toArray()), over,
                total(mine, "drafter"), total(mine, "drafter_exposed"));
            String ends = "accept length at the end over frozen, " + key + ", " + variant.name();
            if (variant.name().endsWith(JUDGED.name())) {
                judged.add(Claim.atLeast(ends + " (judged)", over.median(), BAR));
                judged.add(Claim.atMost("share of the learner's time that is exposed, " + key + ", " + variant.name(),
                    Spread.of(mine.stream().mapToDouble(t -> seconds(t, "drafter_exposed") / seconds(t, "drafter")).toArray()).median(),
                    EXPOSED_BAR));
            } else if (variant != frozenOne) {
                beside.add(Claim.atLeast(ends + " (beside it)", over.median(), BAR));
            }
        }
        claims.addAll(judged);
        claims.addAll(beside);
        List<Series> weightings = new ArrayList<>();
        List<Series> intervals = new ArrayList<>();
        for (Variant variant : variants) {
            Series series = Curves.byIteration(variant.name(), traces.get(variant), "/accept_length");
            if (variant == frozenOne || variant.name().endsWith("-1")) {
                weightings.add(series);
            }
            if (variant == frozenOne || variant.name().contains("reward")) {
                intervals.add(series);
            }
        }
        tables.add(table);
        charts.add(new Outcome.Chart("gap2-" + key + "-weighting",
            new Plot.Lines("Accept length: frozen, uniform and reward-weighted, begun " + key, Axis.whole("iteration"),
                Axis.linear("tokens per step"), weightings)));
        charts.add(new Outcome.Chart("gap2-" + key + "-interval",
            new Plot.Lines("Accept length: updates every so many iterations, begun " + key, Axis.whole("iteration"),
                Axis.linear("tokens per step"), intervals)));
    }

    private static Spread total(List<Trace> traces, String what) {
        return Spread.of(traces.stream().mapToDouble(t -> seconds(t, what)).toArray());
    }

    /** Seconds of a whole run, its last update included, which ends after the last iteration. */
    private static double seconds(Trace trace, String what) {
        return trace.summary().at("/seconds/" + what).doubleValue();
    }
}

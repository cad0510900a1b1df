package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;
import org.respec.tools.report.Series;

/** Gap 2: a frozen drafter goes stale as the actor learns; an online one is kept fresh, in turn with the actor or beside it. */
final class GapTwo implements Experiment {
    private static final Variant FROZEN = Variant.of("frozen", "distill.enabled=false");
    private static final double BAR = 1.2;
    private static final double EXPOSED_BAR = 0.1;
    /** Iterations at the end of a run that count as its end. */
    private static final int END = 3;

    @Override
    public String name() {
        return "gap2";
    }

    @Override
    public String question() {
        return "How does the accept length go as the actor learns, with the drafter frozen, taught uniformly or by reward, in turn or overlapped?";
    }

    private static Variant online(String weighting, boolean overlap, int interval) {
        return Variant.of(weighting + (overlap ? "-overlap-" : "-sync-") + interval, "distill.enabled=true", "distill.weighting=" + weighting,
            "distill.overlap=" + overlap, "distill.interval=" + interval);
    }

    private static List<Variant> variants(boolean quick) {
        List<Variant> variants = new ArrayList<>(List.of(FROZEN));
        for (String weighting : List.of("uniform", "reward")) {
            for (boolean overlap : new boolean[] {false, true}) {
                for (int interval : new int[] {1, 3, 5}) {
                    // Quick: the two weightings once, and every interval of the one that is the default.
                    if (!quick || interval == 1 && !overlap || weighting.equals("reward") && interval < 5) {
                        variants.add(online(weighting, overlap, interval));
                    }
                }
            }
        }
        return variants;
    }

    @Override
    public Outcome run(Lab lab) {
        List<String> common = new ArrayList<>(List.of("speculation.mode=fixed", "speculation.plan=4x2x8", "rollout.max_batch=16"));
        common.add("train.iterations=" + lab.choose(8, 60));
        common.add("train.prompts_per_iteration=" + lab.choose(12, 32));
        List<Variant> variants = variants(lab.quick());
        Map<Variant, List<Trace>> traces = new PairedRuns(lab, name(), common).run(variants);
        Table table = new Table("drafters", "Accept length (same trajectories for all), spread over seeds", "drafter", "first", "last", "over_frozen",
            "drafter_seconds", "exposed_seconds");
        Spread best = null;
        String bestName = "";
        Spread exposed = null;
        for (Variant variant : variants) {
            List<Trace> mine = traces.get(variant);
            List<Trace> frozen = traces.get(FROZEN);
            Spread over = Spread.of(IntStream.range(0, mine.size())
                .mapToDouble(i -> mine.get(i).last("/accept_length", END) / frozen.get(i).last("/accept_length", END)).toArray());
            table.add(variant.name(), Spread.of(mine.stream().mapToDouble(t -> t.series("/accept_length")[0]).toArray()),
                Spread.of(mine.stream().mapToDouble(t -> t.last("/accept_length", END)).toArray()), over,
                Spread.of(mine.stream().mapToDouble(t -> total(t, "/seconds/drafter")).toArray()),
                Spread.of(mine.stream().mapToDouble(t -> total(t, "/seconds/drafter_exposed")).toArray()));
            if (variant != FROZEN && (best == null || over.median() > best.median())) {
                best = over;
                bestName = variant.name();
            }
            if (variant.name().equals("reward-overlap-1")) {
                exposed = Spread.of(mine.stream().mapToDouble(t -> total(t, "/seconds/drafter_exposed") / total(t, "/seconds/drafter")).toArray());
            }
        }
        List<Finding> findings = List.of(Finding.atLeast("accept length at the end, best online drafter (" + bestName + ") over frozen", best.median(), BAR),
            Finding.atMost("share of the learner's time that is exposed, reward-overlap-1", exposed.median(), EXPOSED_BAR));
        List<Series> weightings = new ArrayList<>();
        List<Series> intervals = new ArrayList<>();
        for (Variant variant : variants) {
            Series series = Curves.byIteration(variant.name(), traces.get(variant), "/accept_length");
            if (variant == FROZEN || variant.name().endsWith("-1")) {
                weightings.add(series);
            }
            if (variant == FROZEN || variant.name().startsWith("reward")) {
                intervals.add(series);
            }
        }
        return new Outcome(List.of(table), List.of(
            new Outcome.Chart("gap2-weighting", new Plot.Lines("Accept length: frozen, uniform and reward-weighted drafters", Axis.whole("iteration"),
                Axis.linear("tokens per step"), weightings)),
            new Outcome.Chart("gap2-interval", new Plot.Lines("Accept length: an update every 1, 3 or 5 iterations, in turn and overlapped",
                Axis.whole("iteration"), Axis.linear("tokens per step"), intervals))), findings);
    }

    private static double total(Trace trace, String pointer) {
        return java.util.Arrays.stream(trace.series(pointer)).filter(Double::isFinite).sum();
    }
}

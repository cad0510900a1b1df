package org.respec.tools.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import org.respec.engine.BadInput;
import org.respec.engine.rollout.StepGroup;

/** The plots of runs. Each method gives null where no run has what it shows. */
final class Figures {
    /** More points than a plot has room for are averaged in bins. */
    private static final int MOST_POINTS = 300;
    private static final int MOST_BARS = 90;
    /** Plans with a colour of their own, off apart; the rest are "other". */
    private static final int MOST_PLANS = 6;
    private static final String OTHER = "other";
    private static final String OFF = "off";

    private Figures() {
    }

    // -------------------------------------------------------------------------------------------------- over all the runs

    /** A field of the metrics over the iterations, one line for each run. */
    static Plot overIterations(List<RunRecord> runs, String title, Axis y, String... keys) {
        List<Series> series = new ArrayList<>();
        for (RunRecord run : runs) {
            series.add(line(run.name(), run, run.values(keys)));
        }
        return lines(title, y, series, Double.NaN);
    }

    /** Held-out accuracy: before, as often as the run was set to, after. */
    static Plot accuracy(List<RunRecord> runs) {
        List<Series> series = new ArrayList<>();
        for (RunRecord run : runs) {
            List<double[]> points = new ArrayList<>();
            points.add(new double[] {0, run.summary("eval", "accuracy_before")});
            for (MetricsLine line : run.lines()) {
                points.add(new double[] {line.iteration(), line.number("accuracy")});
            }
            double last = run.lines().isEmpty() ? 0 : run.lines().getLast().iteration();
            if (Double.isNaN(points.getLast()[1])) {
                points.add(new double[] {last, run.summary("eval", "accuracy_after")});
            }
            points.removeIf(point -> Double.isNaN(point[1]));
            series.add(Series.of(run.name(), points.stream().mapToDouble(p -> p[0]).toArray(),
                points.stream().mapToDouble(p -> p[1]).toArray()));
        }
        return lines("Held-out accuracy", Axis.percent("problems solved"), series, Double.NaN);
    }

    /** Tokens per second of decode steps by live requests. */
    static Plot speedByLive(List<RunRecord> runs, List<StepLoad> loads) {
        List<Series> series = new ArrayList<>();
        for (int i = 0; i < runs.size(); i++) {
            StepLoad load = loads.get(i);
            double[] live = load.lives().stream().mapToDouble(n -> mean(load.at(n))).toArray();
            double[] speed = load.lives().stream()
                .mapToDouble(n -> StepLoad.sum(load.at(n), StepGroup::tokens) / StepLoad.sum(load.at(n), StepGroup::seconds)).toArray();
            series.add(Series.of(runs.get(i).name(), live, speed));
        }
        boolean several = loads.stream().anyMatch(load -> load.lives().size() > 1);
        return several ? keep(new Plot.Lines("Decode speed by load", Axis.log2("live requests (mean of each group)"),
            Axis.fromZero("tokens/s in decode steps"), series)) : null;
    }

    private static double mean(List<StepGroup> groups) {
        return StepLoad.sum(groups, StepGroup::requestSteps) / StepLoad.sum(groups, StepGroup::steps);
    }

    /** Where the seconds of each run went. */
    static Plot timeByRun(List<RunRecord> runs) {
        List<Plot.Layer> layers = new ArrayList<>();
        for (Stage stage : Stage.values()) {
            layers.add(new Plot.Layer(stage.label, runs.stream().mapToDouble(run -> total(stage.of(run))).toArray()));
        }
        layers.removeIf(layer -> none(layer.values()));
        return layers.isEmpty() ? null
            : new Plot.Stack("Time by stage", "run", Axis.fromZero("seconds"), runs.stream().map(RunRecord::name).toList(), layers);
    }

    /** Shares of responses over their lengths. */
    static Plot lengths(List<RunRecord> runs) {
        List<Series> series = new ArrayList<>();
        for (RunRecord run : runs) {
            TreeMap<Integer, Double> counts = lengths(run);
            double all = counts.values().stream().mapToDouble(Double::doubleValue).sum();
            series.add(Series.of(run.name(), counts.keySet().stream().mapToDouble(Integer::doubleValue).toArray(),
                counts.values().stream().mapToDouble(count -> count / all).toArray()));
        }
        return keep(new Plot.Lines("Response lengths, all iterations", Axis.fromZero("tokens"), Axis.percent("share of responses"),
            series));
    }

    /** The same of one run, as bars. */
    static Plot histogram(RunRecord run) {
        TreeMap<Integer, Double> counts = lengths(run);
        return counts.isEmpty() ? null : new Plot.Strip("Response lengths, all iterations", Axis.fromZero("tokens"),
            Axis.fromZero("responses"),
            counts.keySet().stream().mapToDouble(Integer::doubleValue).toArray(),
            List.of(new Plot.Layer("responses", counts.values().stream().mapToDouble(Double::doubleValue).toArray())));
    }

    /** Responses by the middle of their bin of lengths. */
    private static TreeMap<Integer, Double> lengths(RunRecord run) {
        TreeMap<Integer, Double> sums = new TreeMap<>();
        for (MetricsLine line : run.lines()) {
            JsonNode counts = line.section("response_length").path("counts");
            double width = line.number("response_length", "width");
            for (int i = 0; i < counts.size() && width > 0; i++) {
                if (!counts.get(i).isNumber()) {
                    throw new BadInput(line.where() + ": response_length.counts must hold numbers, not " + counts.get(i)
                        + "; was the file edited?");
                }
                sums.merge((int) Math.round((i + 0.5) * width), counts.get(i).doubleValue(), Double::sum);
            }
        }
        return sums;
    }

    // ------------------------------------------------------------------------------------------------------------ of a run

    /** Seconds of each iteration by stage. */
    static Plot timeByIteration(RunRecord run) {
        Map<String, double[]> layers = new LinkedHashMap<>();
        for (Stage stage : Stage.values()) {
            layers.put(stage.label, stage.of(run));
        }
        return strip("Time by stage", Axis.fromZero("seconds per iteration"), run, layers, false);
    }

    /** Share of the steps of each plan, by iteration. */
    static Plot plansByIteration(RunRecord run) {
        List<String> names = named(plans(run));
        Map<String, double[]> layers = new LinkedHashMap<>();
        for (String name : names) {
            layers.put(name, new double[run.lines().size()]);
        }
        for (int i = 0; i < run.lines().size(); i++) {
            int iteration = i;
            MetricsLine line = run.lines().get(i);
            line.section("plans").properties().forEach(plan ->
                layers.get(names.contains(plan.getKey()) ? plan.getKey() : OTHER)[iteration] += line.number("plans", plan.getKey()));
        }
        return strip("Plans over time", Axis.share("share of steps"), run, layers, true);
    }

    private static List<String> plans(RunRecord run) {
        TreeMap<String, Double> sums = new TreeMap<>();
        for (MetricsLine line : run.lines()) {
            line.section("plans").properties().forEach(plan -> sums.merge(plan.getKey(), line.number("plans", plan.getKey()), Double::sum));
        }
        return sums.keySet().stream().sorted((a, b) -> Double.compare(sums.get(b), sums.get(a))).toList();
    }

    /** Off first, then the most frequent plans by what they verify, then "other" if any are left. */
    private static List<String> named(List<String> byFrequency) {
        List<String> shown = new ArrayList<>(byFrequency.stream().filter(plan -> !plan.equals(OFF)).limit(MOST_PLANS)
            .sorted((a, b) -> Double.compare(StepLoad.verified(a), StepLoad.verified(b))).toList());
        boolean rest = byFrequency.stream().filter(plan -> !plan.equals(OFF)).count() > shown.size();
        if (byFrequency.contains(OFF)) {
            shown.addFirst(OFF);
        }
        if (rest) {
            shown.add(OTHER);
        }
        return shown;
    }

    /** Draft tokens verified for each request: colour over iteration and live requests. */
    static Plot effort(RunRecord run, StepLoad load) {
        List<Integer> lives = load.lives();
        if (lives.size() < 2) {
            return null;
        }
        int bin = bin(run.lines().size(), MOST_BARS);
        int columns = (run.lines().size() + bin - 1) / bin;
        double[][] cells = new double[lives.size()][columns];
        double[] at = new double[columns];
        for (int c = 0; c < columns; c++) {
            int end = Math.min(run.lines().size(), (c + 1) * bin);
            List<StepGroup> groups = load.byIteration().subList(c * bin, end).stream().flatMap(List::stream).toList();
            at[c] = (run.lines().get(c * bin).iteration() + run.lines().get(end - 1).iteration()) / 2.0;
            for (int r = 0; r < lives.size(); r++) {
                int live = lives.get(r);
                List<StepGroup> here = groups.stream().filter(g -> g.live() == live && !Double.isNaN(StepLoad.verified(g.plan()))).toList();
                cells[r][c] = StepLoad.sum(here, g -> g.steps() * StepLoad.verified(g.plan())) / StepLoad.sum(here, StepGroup::steps);
            }
        }
        return new Plot.Heat("Draft tokens over time and load", Axis.whole("iteration"), "live requests", at,
            lives.stream().map(StepLoad::name).toList(), cells, Axis.fromZero("draft tokens verified per request"));
    }

    /** Share of the steps of each plan, by live requests. */
    static Plot plansByLive(StepLoad load) {
        List<Integer> lives = load.lives();
        if (lives.size() < 2) {
            return null;
        }
        List<String> names = named(load.plans(StepGroup::steps));
        List<Plot.Layer> layers = new ArrayList<>();
        for (String name : names) {
            double[] values = new double[lives.size()];
            for (int i = 0; i < values.length; i++) {
                List<StepGroup> here = load.at(lives.get(i));
                values[i] = StepLoad.sum(here, g -> name.equals(names.contains(g.plan()) ? g.plan() : OTHER) ? g.steps() : 0)
                    / StepLoad.sum(here, StepGroup::steps);
            }
            layers.add(new Plot.Layer(name, values));
        }
        return new Plot.Stack("Plans by load", "live requests", Axis.share("share of steps"), lives.stream().map(StepLoad::name).toList(),
            layers);
    }

    /** Share of the decode time and of the tokens, by live requests. */
    static Plot tail(StepLoad load) {
        List<Integer> lives = load.lives();
        if (lives.size() < 2) {
            return null;
        }
        return new Plot.Bars("Where decode time goes", "live requests", Axis.percent("share of all decode steps"),
            lives.stream().map(StepLoad::name).toList(),
            List.of(new Plot.Layer("time", shares(load, lives, StepGroup::seconds)),
                new Plot.Layer("tokens", shares(load, lives, g -> g.tokens()))));
    }

    private static double[] shares(StepLoad load, List<Integer> lives, ToDoubleFunction<StepGroup> measure) {
        double all = StepLoad.sum(load.all(), measure);
        return lives.stream().mapToDouble(live -> StepLoad.sum(load.at(live), measure) / all).toArray();
    }

    /** Mean and longest response of each iteration. */
    static Plot lengthsByIteration(RunRecord run) {
        return lines("Response lengths over time", Axis.fromZero("tokens"),
            List.of(line("longest", run, run.values("response_length", "max")),
            line("mean", run, run.values("response_length", "mean"))), Double.NaN);
    }

    /** Every number in a section of the metrics, a line each: host_load by stage, accept_by_reward by band. */
    static Plot section(RunRecord run, String title, Axis y, String section, Function<String, String> name) {
        Set<String> keys = new LinkedHashSet<>();
        run.lines().forEach(line -> line.section(section).properties().forEach(field -> {
            if (field.getValue().isNumber()) {
                keys.add(field.getKey());
            }
        }));
        return lines(title, y, keys.stream().map(key -> line(name.apply(key), run, run.values(section, key))).toList(), Double.NaN);
    }

    // --------------------------------------------------------------------------------------------------------------- parts

    /** Where an iteration's time goes, in the order in which it is drawn. */
    private enum Stage {
        DRAFT("draft", run -> run.values("seconds", "draft")),
        VERIFY("verify and sample", run -> run.values("seconds", "verify")),
        PREFILL("prefill and admission", run -> minus(run.values("seconds", "rollout"), run.values("seconds", "draft"),
            run.values("seconds", "verify"))),
        ACTOR("actor update", run -> run.values("seconds", "actor")),
        DRAFTER("drafter update (exposed)", run -> {
            double[] exposed = run.values("seconds", "drafter_exposed");
            return none(exposed) ? run.values("seconds", "drafter") : exposed;
        });

        private final String label;
        private final Function<RunRecord, double[]> values;

        Stage(String label, Function<RunRecord, double[]> values) {
            this.label = label;
            this.values = values;
        }

        double[] of(RunRecord run) {
            return values.apply(run);
        }

        private static double[] minus(double[] all, double[] a, double[] b) {
            double[] rest = new double[all.length];
            for (int i = 0; i < rest.length; i++) {
                rest[i] = Math.max(0, all[i] - a[i] - b[i]);
            }
            return rest;
        }
    }

    private static Series line(String name, RunRecord run, double[] values) {
        int bin = bin(values.length, MOST_POINTS);
        return Series.of(name, binned(run.iterations(), bin), binned(values, bin));
    }

    /** Iterations that one point or bar of a run stands for. */
    static int bin(int iterations, int most) {
        return Math.max(1, (iterations + most - 1) / most);
    }

    /** What reports say of a run with more iterations than a plot has points; empty for one with fewer. */
    static String binning(RunRecord run) {
        int points = bin(run.lines().size(), MOST_POINTS);
        int bars = bin(run.lines().size(), MOST_BARS);
        return bars == 1 ? "" : "Each bar is the mean of " + bars + " iterations"
            + (points == 1 ? "." : ", each point of a line that of " + points + ".");
    }

    /** Means of {@code bin} values each; NaN where none is there. */
    private static double[] binned(double[] values, int bin) {
        double[] means = new double[(values.length + bin - 1) / bin];
        for (int i = 0; i < means.length; i++) {
            means[i] = Arrays.stream(values, i * bin, Math.min(values.length, (i + 1) * bin)).filter(v -> !Double.isNaN(v)).average()
                .orElse(Double.NaN);
        }
        return means;
    }

    private static Plot strip(String title, Axis y, RunRecord run, Map<String, double[]> values, boolean shares) {
        int bin = bin(run.lines().size(), MOST_BARS);
        List<Plot.Layer> layers = new ArrayList<>();
        values.forEach((name, each) -> {
            if (!none(each)) {
                layers.add(new Plot.Layer(name, binned(each, bin)));
            }
        });
        if (layers.isEmpty()) {
            return null;
        }
        double[] at = binned(run.iterations(), bin);
        if (shares) {
            for (int i = 0; i < at.length; i++) {
                double all = 0;
                for (Plot.Layer layer : layers) {
                    all += layer.values()[i];
                }
                for (Plot.Layer layer : layers) {
                    layer.values()[i] /= all;
                }
            }
        }
        return new Plot.Strip(title, Axis.whole("iteration"), y, at, layers);
    }

    private static Plot lines(String title, Axis y, List<Series> series, double reference) {
        return keep(new Plot.Lines(title, Axis.whole("iteration"), y, series, reference));
    }

    /** Without the lines that have no point; null if none is left. */
    private static Plot keep(Plot.Lines lines) {
        List<Series> there = lines.series().stream().filter(series -> !none(series.y())).toList();
        return there.isEmpty() ? null : new Plot.Lines(lines.title(), lines.x(), lines.y(), there, lines.reference());
    }

    private static boolean none(double[] values) {
        return Arrays.stream(values).noneMatch(Double::isFinite);
    }

    private static double total(double[] values) {
        double[] there = Arrays.stream(values).filter(Double::isFinite).toArray();
        return there.length == 0 ? Double.NaN : Arrays.stream(there).sum();
    }
}

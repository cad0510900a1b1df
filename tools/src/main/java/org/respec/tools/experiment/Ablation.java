package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;

/** Everything that the engine adds to plain reinforcement learning, one after another, end to end. */
final class Ablation implements Experiment {
    private static final String IN_TURN = "distill.overlap=false";
    private static final List<Variant> STEPS = List.of(
        Variant.of("none", "speculation.mode=off", "distill.enabled=false"),
        Variant.of("+drafter", "speculation.mode=fixed", "distill.enabled=false"),
        Variant.of("+online", "speculation.mode=fixed", "distill.enabled=true", "distill.weighting=uniform", IN_TURN),
        Variant.of("+reward weight", "speculation.mode=fixed", "distill.enabled=true", "distill.weighting=reward", IN_TURN),
        Variant.of("+adaptive", "speculation.mode=adaptive", "distill.enabled=true", "distill.weighting=reward", IN_TURN),
        Variant.of("+overlap", "speculation.mode=adaptive", "distill.enabled=true", "distill.weighting=reward", "distill.overlap=true"));
    /** Iterations at the start that do not count: the JIT and the tracker are settling. */
    private static final int SETTLING = 2;

    @Override
    public String name() {
        return "ablation";
    }

    @Override
    public String question() {
        return "What does each part add to the speed of a whole training run?";
    }

    @Override
    public Outcome run(Lab lab) {
        // Updates of a few small steps: where learning shares the run's processors, its time is paid for by what it gains, or not at all.
        PairedRuns runs = new PairedRuns(lab, name(), List.of("speculation.plan=2x1x2", "distill.steps_per_update=4",
            "train.iterations=" + lab.choose(5, 30)));
        runs.warmUp(STEPS.get(3), lab.choose(2, 6));
        Map<Variant, List<Trace>> traces = runs.run(STEPS);
        Table table = new Table("steps", "End to end, medians of iterations after the first " + SETTLING + ", spread over seeds", "variant",
            "rollout_tokens_per_second", "tokens_per_second", "iteration_seconds", "speedup", "accept_length");
        List<Spread> speedups = new ArrayList<>();
        for (Variant variant : STEPS) {
            List<Trace> mine = traces.get(variant);
            List<Trace> none = traces.get(STEPS.getFirst());
            Spread speedup = spread(IntStream.range(0, mine.size()).mapToDouble(i -> iteration(none.get(i)) / iteration(mine.get(i))));
            speedups.add(speedup);
            table.add(variant.name(), spread(mine.stream().mapToDouble(t -> median(t.series("/tokens_per_second")))),
                spread(mine.stream().mapToDouble(Ablation::endToEnd)), spread(mine.stream().mapToDouble(Ablation::iteration)), speedup,
                spread(mine.stream().mapToDouble(t -> t.last("/accept_length", t.iterations().size()))));
        }
        Plot plot = new Plot.Bars("Speed of a training iteration over none (median and deviation over seeds)", "each with all before it",
            Axis.fromZero("times none"), STEPS.stream().map(Variant::name).toList(),
            List.of(new Plot.Layer("speed-up", speedups.stream().mapToDouble(Spread::median).toArray(),
                speedups.stream().mapToDouble(Spread::sd).toArray())), 1);
        return new Outcome(List.of(table), List.of(new Outcome.Chart("ablation", plot)),
            List.of(Claim.atLeast("speed of an iteration with everything over none", speedups.getLast().median(), 1)));
    }

    private static Spread spread(java.util.stream.DoubleStream values) {
        return Spread.of(values.toArray());
    }

    private static double median(double[] values) {
        return Spread.of(Arrays.copyOfRange(values, Math.min(SETTLING, values.length - 1), values.length)).median();
    }

    private static double iteration(Trace trace) {
        return median(trace.seconds());
    }

    /** Response tokens per second of wall time, learning and all. */
    private static double endToEnd(Trace trace) {
        double[] tokens = trace.series("/tokens");
        return median(IntStream.range(0, tokens.length).mapToDouble(i -> tokens[i] / trace.seconds()[i]).toArray());
    }
}

package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
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

/** A competing load begins and ends in the middle of rollouts; the chosen depth should fall and rise with it. */
final class Load implements Experiment {
    private static final long BIN_NANOS = 100_000_000L;
    /** Steps over which a depth is averaged to see it move: it also goes up and down by itself. */
    private static final int WINDOW = 200;
    /** Steps within which it should move. */
    private static final int SOON = 50;
    /** Responses of one rollout. */
    private static final int CHUNK = 64;

    @Override
    public String name() {
        return "load";
    }

    @Override
    public String question() {
        return "Does speculation give way when others use the device, and come back when they are done?";
    }

    /** What was chosen, and the steps at which the load began and ended. */
    private record Record(int[] depths, long[] nanos, int begin, int end) {
        double mean(int from, int to) {
            double sum = 0;
            for (int step = from; step < to; step++) {
                sum += depths[step];
            }
            return to > from ? sum / (to - from) : Double.NaN;
        }

        /**
         * Steps from {@code from} until the mean of a window has come half of the way from one depth to another; NaN for never, and
         * where the depth did not move in that direction.
         */
        double stepsUntil(int from, int to, double before, double after, boolean fall) {
            if (fall ? after >= before : after <= before) {
                return Double.NaN;
            }
            double middle = (before + after) / 2;
            for (int step = from; step + WINDOW <= to; step++) {
                double now = mean(step, step + WINDOW);
                if (fall ? now <= middle : now >= middle) {
                    return step - from;
                }
            }
            return Double.NaN;
        }

        double seconds(int from, double steps) {
            return Double.isNaN(steps) ? Double.NaN : (nanos[from + (int) steps] - nanos[from]) * 1e-9;
        }
    }

    @Override
    public Outcome run(Lab lab) {
        RunConfig config = lab.config(List.of());
        List<Record> records = new ArrayList<>();
        try (Ops ops = Devices.open(config.run().device(), config.run().threads());
             LoadedModel model = LoadedModel.load(ops, config.model().actor(), config.model().drafter());
             CompetingLoad load = new CompetingLoad(lab.device(), config.run().threads())) {
            Task task = Tasks.of(config.task(), config.run().seed(), model);
            RolloutLimits limits = new RolloutLimits(1, task.maxPromptTokens(), config.rollout().maxTokens(),
                config.rollout().pageSize(), 0, 0);
            RunConfig.Speculation adaptive = RunConfig.Speculation.of("adaptive");
            for (int seed = 0; seed < lab.seeds(); seed++) {
                Schedule schedule = new Schedule(load, lab.choose(4.0, 10.0));
                PlanRecorder recorder = new PlanRecorder(PlanPolicies.of(adaptive, ops, model.actor(), model.drafter(), limits), schedule);
                try (RolloutEngine engine = new RolloutEngine(ops, model.actor(), model.drafter(), limits, SamplingParams.temperature(1),
                    seed, new StopRule(model.actor().config().eosTokenIds(), List.of()), recorder, true, adaptive.sharpness())) {
                    for (int chunk = 0; !schedule.over(); chunk++) {
                        engine.generate(prompts(task, (long) seed << 32 | (long) chunk * CHUNK));
                    }
                }
                records.add(new Record(recorder.depths(), recorder.nanos(), schedule.begin, schedule.end));
                lab.log().accept("load: seed " + (seed + 1) + " done");
            }
        }
        return outcome(records);
    }

    private static List<PromptGroup> prompts(Task task, long first) {
        List<PromptGroup> prompts = new ArrayList<>();
        for (long number = first; number < first + CHUNK; number++) {
            prompts.add(new PromptGroup(task.encode(task.problems().training(number & 0xffffffffL)), 1, number));
        }
        return prompts;
    }

    /** Two parts to settle and to measure without the load, one with it, one without it again; each begins in mid-rollout. */
    private static final class Schedule implements IntConsumer {
        private final CompetingLoad load;
        private final long part;
        private long start;
        private int begin = -1;
        private int end = -1;

        Schedule(CompetingLoad load, double seconds) {
            this.load = load;
            this.part = (long) (seconds * 1e9);
        }

        @Override
        public void accept(int steps) {
            long now = System.nanoTime();
            start = steps == 0 ? now : start;
            if (begin < 0 && now - start > 2 * part) {
                load.begin();
                begin = steps;
            } else if (begin >= 0 && end < 0 && now - start > 3 * part) {
                load.end();
                end = steps;
            }
        }

        boolean over() {
            return end >= 0 && System.nanoTime() - start > 4 * part;
        }
    }

    private static Outcome outcome(List<Record> records) {
        Table table = new Table("depths", "Mean depth of the chosen plan (0 is off), and how soon it moved half of the way", "seed",
            "before", "during", "after", "steps_to_fall", "seconds_to_fall", "steps_to_rise", "seconds_to_rise");
        List<Double> kept = new ArrayList<>();
        List<Double> back = new ArrayList<>();
        List<Double> soon = new ArrayList<>();
        List<Series> series = new ArrayList<>();
        for (int i = 0; i < records.size(); i++) {
            Record r = records.get(i);
            int length = r.depths.length;
            // The second half of each part, by which what it decays over has passed.
            double before = r.mean(r.begin - r.begin / 4, r.begin);
            double during = r.mean((r.begin + r.end) / 2, r.end);
            double after = r.mean((r.end + length) / 2, length);
            double fall = r.stepsUntil(r.begin, r.end, before, during, true);
            double rise = r.stepsUntil(r.end, length, during, after, false);
            table.add(i + 1, before, during, after, fall, r.seconds(r.begin, fall), rise, r.seconds(r.end, rise));
            kept.add(during / before);
            back.add(after / before);
            soon.add(Math.max(fall, rise));
            series.add(curve("seed " + (i + 1), r));
        }
        List<Finding> findings = List.of(Finding.atMost("depth under load over depth before", median(kept), 0.8),
            Finding.atLeast("depth after the load over depth before", median(back), 0.9),
            Finding.atMost("steps until the depth had moved half of the way, the slower of fall and rise", median(soon), SOON));
        Plot plot = new Plot.Lines("Depth of the chosen plan; the load begins at 0 s and stays for a quarter of all",
            Axis.linear("seconds since the load began"), Axis.fromZero("mean depth"), series);
        return new Outcome(List.of(table), List.of(new Outcome.Chart("load", plot)), findings);
    }

    private static double median(List<Double> values) {
        return values.stream().anyMatch(v -> v.isNaN()) ? Double.NaN : Spread.of(values.stream().mapToDouble(v -> v).toArray()).median();
    }

    private static Series curve(String name, Record r) {
        long zero = r.nanos[r.begin];
        List<double[]> points = new ArrayList<>();
        int from = 0;
        for (int step = 1; step <= r.depths.length; step++) {
            if (step == r.depths.length || (r.nanos[step] - r.nanos[from]) >= BIN_NANOS) {
                points.add(new double[] {(r.nanos[from] - zero) * 1e-9, r.mean(from, step)});
                from = step;
            }
        }
        return Series.of(name, points.stream().mapToDouble(p -> p[0]).toArray(), points.stream().mapToDouble(p -> p[1]).toArray());
    }
}

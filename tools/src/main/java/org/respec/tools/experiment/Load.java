package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.rollout.DecodeBench;
import org.respec.engine.rollout.ImposedAcceptance;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.run.Devices;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.speculation.UtilizationProbe;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.bench.DecodeShape;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;
import org.respec.tools.report.Series;

/**
 * A competing load begins and ends in the middle of rollouts; the chosen depth should fall and rise with it. One request decodes on
 * random weights with a set acceptance, of a size at which steps take some milliseconds: 50 steps of the bundled model are over before
 * the kernel has taken a processor away once.
 */
final class Load implements Experiment {
    /** Steps within which the depth should move. */
    private static final int SOON = 50;
    private static final int PROMPT = 16;
    private static final int RESPONSE = 1024;
    /**
     * Share of chains whose level is accepted after the one before: about what the bundled drafter reaches. With 0.8 to 0.65 plans of any
     * depth, off among them, were within a tenth of each other on two cores, and which was chosen said little.
     */
    private static final double[] ACCEPTANCE = {0.95, 0.92, 0.9, 0.88};
    /** A machine on which others are seen to use more than this before a load begins is not quiet. */
    private static final double QUIET_SHARE = 0.15;
    private static final int PLOTTED_BEFORE = 50;
    private static final int PLOTTED_AFTER = 100;

    /** Null for one that suits the device. */
    private final DecodeShape fixedShape;
    private final int quietSteps;
    private final int loadedSteps;

    Load() {
        this(null, 300, 150);
    }

    /** With {@code quietSteps} before and after each of the {@code loadedSteps} under a load. */
    Load(DecodeShape shape, int quietSteps, int loadedSteps) {
        this.fixedShape = shape;
        this.quietSteps = quietSteps;
        this.loadedSteps = loadedSteps;
    }

    @Override
    public String name() {
        return "load";
    }

    @Override
    public String question() {
        return "Does speculation give way when others use the device, and come back when they are done?";
    }

    /** Whether the policy watches the device. */
    private enum Watch {
        WATCHED("watched", "auto"), UNWATCHED("not watched", "off");

        private final String title;
        private final String utilization;

        Watch(String title, String utilization) {
            this.title = title;
            this.utilization = utilization;
        }
    }

    /** One load. */
    private record Recorded(Watch watch, int seed, int number, LoadPair pair) {
        /** Whether nobody else disturbed it, so that it says something of this load. */
        boolean undisturbed() {
            return pair.shareBefore() <= QUIET_SHARE;
        }
    }

    @Override
    public Outcome run(Lab lab) {
        RunConfig config = lab.config(List.of());
        List<Recorded> all = new ArrayList<>();
        try (Ops ops = Devices.open(config.run()); DecodeBench model = model(ops, config.run());
             CompetingLoad load = new CompetingLoad(config.run().device())) {
            for (int seed = 0; seed < lab.seeds(); seed++) {
                for (int turn = 0; turn < Watch.values().length; turn++) {
                    Watch watch = Watch.values()[(seed + turn) % Watch.values().length];
                    List<Recorded> loads = record(lab, ops, model, load, watch, seed);
                    all.addAll(loads);
                    lab.log().accept("load: seed " + (seed + 1) + ", " + watch.title + ": " + loads.size() + " loads, of which "
                        + loads.stream().filter(Recorded::undisturbed).count() + " on a quiet machine");
                }
            }
        }
        return outcome(all);
    }

    private DecodeBench model(Ops ops, RunConfig.Run run) {
        DecodeShape shape = fixedShape != null ? fixedShape : ops.uuid().isEmpty() ? DecodeShape.SMALL : DecodeShape.QWEN_7B;
        return new DecodeBench(ops, Devices.dtype(run, ops), shape.actor(), shape.drafter());
    }

    private List<Recorded> record(Lab lab, Ops ops, DecodeBench model, CompetingLoad load, Watch watch, int seed) {
        int response = Math.min(RESPONSE, RolloutEngine.mostTokens(model.actor().config(), PROMPT));
        RolloutLimits limits = new RolloutLimits(1, PROMPT, response, 16, 0, 0);
        RunConfig.Speculation base = RunConfig.Speculation.of("adaptive");
        // Chains: the first choice is all that is ever accepted. What passes take is measured once for all.
        RunConfig.Speculation adaptive = new RunConfig.Speculation(base.mode(), SpeculationPlan.OFF, base.maxDepth(), 1, base.maxTokens(),
            base.margin(), base.drafting(), watch.utilization, lab.output().resolve("load-costs"));
        PlanPolicy policy = PlanPolicies.of(adaptive, ops, model.actor(), model.drafter(), limits);
        Schedule schedule = new Schedule(load, quietSteps, loadedSteps, lab.choose(5, 10));
        PlanRecorder recorder = new PlanRecorder(policy, UtilizationProbe.start(ops.uuid()), schedule);
        try (RolloutEngine engine = new RolloutEngine(ops, model.actor(), model.drafter(), limits, SamplingParams.temperature(1),
            seed, new StopRule(List.of(), List.of()), recorder, true, base.sharpness())) {
            engine.impose(new ImposedAcceptance(ACCEPTANCE));
            ModelConfig shape = model.actor().config();
            for (long number = (long) seed << 32; !schedule.over(); number++) {
                int[] prompt = new int[PROMPT];
                for (int i = 0; i < PROMPT; i++) {
                    prompt[i] = (int) ((i * 7L + number * 13L + 1) % shape.vocabSize());
                }
                engine.generate(List.of(new PromptGroup(prompt, 1, number)));
            }
        } finally {
            load.end();
        }
        return schedule.recorded(watch, seed, recorder);
    }

    /** A quiet part to settle, then loads of some steps with quiet parts between them; each begins and ends between two steps. */
    private static final class Schedule implements IntConsumer {
        private final CompetingLoad load;
        private final int quiet;
        private final int loaded;
        private final int count;
        private int steps;

        Schedule(CompetingLoad load, int quiet, int loaded, int count) {
            this.load = load;
            this.quiet = quiet;
            this.loaded = loaded;
            this.count = count;
        }

        @Override
        public void accept(int before) {
            steps = before;
            if (before < 2 * quiet || over()) {
                return;
            }
            int place = (before - 2 * quiet) % (loaded + quiet);
            if (place == 0) {
                load.begin();
            } else if (place == loaded) {
                load.end();
            }
        }

        boolean over() {
            return steps >= 2 * quiet + count * (loaded + quiet);
        }

        List<Recorded> recorded(Watch watch, int seed, PlanRecorder recorder) {
            return IntStream.range(0, count).mapToObj(i -> {
                int begin = 2 * quiet + i * (loaded + quiet);
                LoadPair whole = new LoadPair(recorder.depths(), recorder.nanos(), recorder.tokens(), recorder.shares(), begin,
                    begin + loaded);
                return new Recorded(watch, seed + 1, i + 1, whole.part(begin - quiet, begin + loaded + quiet));
            }).toList();
        }
    }

    private static Outcome outcome(List<Recorded> all) {
        Table loads = new Table("loads", "Each load: mean depth of the chosen plan (0 is off), how soon it moved half of the way, and what"
            + " others were seen to use", "setting", "seed", "load", "before", "during", "after", "steps_to_fall", "ms_to_fall",
            "steps_to_rise", "ms_to_rise", "others_before", "others_during", "tokens_per_second_before", "tokens_per_second_during");
        for (Recorded r : all) {
            LoadPair p = r.pair;
            loads.add(r.watch.title, r.seed, r.number, p.before(), p.during(), p.after(), p.stepsToFall(),
                p.milliseconds(p.begin(), p.stepsToFall()), p.stepsToRise(), p.milliseconds(p.end(), p.stepsToRise()), p.shareBefore(),
                p.shareDuring(), p.tokensPerSecond(0, p.begin()), p.tokensPerSecond(p.begin(), p.end()));
        }
        Table settings = new Table("settings", "Loads that began on a quiet machine: median (least-most)", "setting", "loads", "before",
            "during", "after", "steps_to_fall", "steps_to_rise", "tokens_per_second_before", "tokens_per_second_during");
        for (Watch watch : Watch.values()) {
            List<LoadPair> of = of(all, watch);
            if (!of.isEmpty()) {
                settings.add(watch.title, of.size(), spread(of, LoadPair::before), spread(of, LoadPair::during),
                    spread(of, LoadPair::after), spread(of, LoadPair::stepsToFall), spread(of, LoadPair::stepsToRise),
                    spread(of, p -> p.tokensPerSecond(0, p.begin())), spread(of, p -> p.tokensPerSecond(p.begin(), p.end())));
            }
        }
        List<LoadPair> watched = of(all, Watch.WATCHED);
        String among = " (median of " + watched.size() + " loads that began on a quiet machine)";
        List<Claim> claims = List.of(
            Claim.atMost("depth under load over depth before" + among, median(watched, p -> p.during() / p.before()), 0.8),
            Claim.atLeast("depth after the load over depth before" + among, median(watched, p -> p.after() / p.before()), 0.9),
            Claim.atMost("steps until the depth had fallen half of the way" + among, median(watched, LoadPair::stepsToFall), SOON),
            Claim.atMost("steps until the depth had risen half of the way" + among, median(watched, LoadPair::stepsToRise), SOON));
        return new Outcome(List.of(loads, settings), List.of(
            new Outcome.Chart("load-begins", plot("The load begins at step 0", all, false)),
            new Outcome.Chart("load-ends", plot("The load ends at step 0", all, true))), claims);
    }

    private static List<LoadPair> of(List<Recorded> all, Watch watch) {
        return all.stream().filter(r -> r.watch == watch && r.undisturbed()).map(Recorded::pair).toList();
    }

    private static Spread spread(List<LoadPair> pairs, ToDoubleFunction<LoadPair> value) {
        return Spread.of(pairs.stream().mapToDouble(value).toArray());
    }

    private static double median(List<LoadPair> pairs, ToDoubleFunction<LoadPair> value) {
        return pairs.isEmpty() ? Double.NaN : spread(pairs, value).median();
    }

    /** Depth over all loads around the beginning or the end of each: mean, and the middle half. */
    private static Plot plot(String what, List<Recorded> all, boolean end) {
        List<Series> series = new ArrayList<>();
        for (Watch watch : Watch.values()) {
            List<LoadPair> pairs = of(all, watch);
            int from = pairs.stream().mapToInt(p -> end ? p.end() - p.begin() : p.begin()).reduce(PLOTTED_BEFORE, Math::min);
            int to = pairs.stream().mapToInt(p -> end ? p.depths().length - p.end() : p.end() - p.begin()).reduce(PLOTTED_AFTER, Math::min);
            if (!pairs.isEmpty()) {
                double[] x = IntStream.range(-from, to).asDoubleStream().toArray();
                double[][] at = IntStream.range(-from, to).mapToObj(step -> pairs.stream()
                    .mapToDouble(p -> p.depths()[(end ? p.end() : p.begin()) + step]).sorted().toArray()).toArray(double[][]::new);
                series.add(new Series(watch.title, x, Arrays.stream(at).mapToDouble(v -> Spread.of(v).mean()).toArray(),
                    Arrays.stream(at).mapToDouble(v -> v[v.length / 4]).toArray(),
                    Arrays.stream(at).mapToDouble(v -> v[v.length - 1 - v.length / 4]).toArray()));
            }
        }
        return new Plot.Lines(what + " (mean of all loads; bands: the middle half)", Axis.linear("steps"),
            Axis.fromZero("depth of the chosen plan"), series);
    }
}

package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;

/** Gap 3: whether drafting disturbs the policy, and which responses the drafter serves. */
final class GapThree implements Experiment {
    private static final Variant OFF = Variant.of("off", "speculation.mode=off", "distill.enabled=false");
    private static final Variant UNIFORM = Variant.of("on-uniform", "speculation.mode=fixed", "distill.enabled=true",
        "distill.weighting=uniform");
    private static final Variant REWARD = Variant.of("on-reward", "speculation.mode=fixed", "distill.enabled=true",
        "distill.weighting=reward");
    private static final List<String> BANDS = List.of("none", "some", "full");
    /** Iterations at the end of a run that count as its end. */
    private static final int END = 3;

    @Override
    public String name() {
        return "gap3";
    }

    @Override
    public String question() {
        return "Does speculation change what the actor learns, and how does reward weighting change what the drafter is good at?";
    }

    @Override
    public Outcome run(Lab lab) {
        List<String> common = new ArrayList<>(List.of("speculation.plan=3x2x6", "rollout.max_batch=16", "train.prompts_per_iteration=16"));
        common.add("train.iterations=" + lab.choose(8, 40));
        Map<Variant, List<Trace>> traces = new PairedRuns(lab, name(), common).run(List.of(OFF, UNIFORM, REWARD));
        Table same = new Table("runs", "What each run drew and learnt", "seed", "variant", "reward_first", "reward_last",
            "trajectories_sha256", "actor_weights_sha256", "as_without");
        Table bands = new Table("bands", "Accept length by reward, at the end of the runs", "weighting", "reward", "accept_length");
        int identical = 0;
        int compared = 0;
        for (Variant variant : traces.keySet()) {
            for (int seed = 0; seed < lab.seeds(); seed++) {
                Trace trace = traces.get(variant).get(seed);
                Trace without = traces.get(OFF).get(seed);
                boolean equal = trajectories(trace).equals(trajectories(without)) && weights(trace).equals(weights(without));
                same.add(trace.seed(), variant.name(), trace.series("/reward")[0], trace.last("/reward", END),
                    trajectories(trace), weights(trace), equal);
                compared += variant == OFF ? 0 : 1;
                identical += variant != OFF && equal ? 1 : 0;
            }
        }
        // Bands in which there was speculation; a reward of right or wrong has none between.
        List<String> seen = BANDS.stream().filter(band -> Stream.of(UNIFORM, REWARD)
            .allMatch(variant -> traces.get(variant).stream().anyMatch(t -> Double.isFinite(accept(t, band))))).toList();
        List<Plot.Layer> layers = new ArrayList<>();
        for (Variant variant : List.of(UNIFORM, REWARD)) {
            List<Spread> spreads = seen.stream().map(band -> Spread.of(traces.get(variant).stream().mapToDouble(t -> accept(t, band))
                .filter(Double::isFinite).toArray())).toList();
            String weighting = variant.name().substring("on-".length());
            for (int band = 0; band < seen.size(); band++) {
                bands.add(weighting, seen.get(band), spreads.get(band));
            }
            layers.add(new Plot.Layer(weighting + " weights", spreads.stream().mapToDouble(Spread::mean).toArray(),
                spreads.stream().mapToDouble(Spread::sd).toArray()));
        }
        Claim proof = Claim.atLeast("share of runs with speculation whose trajectories and trained weights equal those without",
            (double) identical / compared, 1);
        Plot reward = new Plot.Lines("Reward with speculation off and on (one curve: they are the same)", Axis.whole("iteration"),
            Axis.linear("mean reward"), List.of(Curves.byIteration("off", traces.get(OFF), "/reward"),
            Curves.byIteration("on", traces.get(REWARD), "/reward")));
        Plot accept = new Plot.Bars("Accept length by reward of the response (mean and deviation over seeds)", "reward",
            Axis.fromZero("tokens per step"), seen, layers);
        return new Outcome(List.of(same, bands), List.of(new Outcome.Chart("gap3-reward", reward),
            new Outcome.Chart("gap3-accept", accept)), List.of(proof));
    }

    private static double accept(Trace trace, String band) {
        return trace.last("/accept_by_reward/" + band, END);
    }

    private static String trajectories(Trace trace) {
        return trace.summary().at("/rollout/trajectory_sha256").textValue();
    }

    private static String weights(Trace trace) {
        return trace.summary().at("/actor/weights_sha256").textValue();
    }
}

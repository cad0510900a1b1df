package org.respec.tools.experiment;

import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.respec.engine.rollout.RolloutStats;

/**
 * How fast engines with static plans and an adaptive one were on the same prompts. Ratios come from engines that were made one after
 * another and from the same round, in which all ran the same prompts one after another.
 *
 * @param batch most live requests
 * @param plans two static ones or more, then the adaptive one
 * @param stats of each engine in each round; engines in the order of plans, then others in the same order
 */
record PlanSpeeds(int batch, List<String> plans, List<List<RolloutStats>> stats) {
    /** Rounds, over all engines of a plan, that {@link #ofBest} and {@link #best} take: one that names the rival and one to compare. */
    static final int LEAST_ROUNDS = 2;

    List<RolloutStats> of(int plan) {
        return IntStream.range(0, stats.size()).filter(engine -> engine % plans.size() == plan)
            .mapToObj(stats::get).flatMap(List::stream).toList();
    }

    double[] speeds(int plan) {
        return of(plan).stream().mapToDouble(RolloutStats::tokensPerSecond).toArray();
    }

    Spread ratio(int plan, int to) {
        double[] over = speeds(plan);
        double[] under = speeds(to);
        return Spread.of(IntStream.range(0, over.length).mapToDouble(i -> over[i] / under[i]).toArray());
    }

    /** The two fastest of the static plans, by medians, the faster one first; and the adaptive plan. */
    List<String> finalists() {
        List<Integer> byMedian = IntStream.range(0, plans.size() - 1).boxed()
            .sorted(Comparator.comparingDouble(plan -> -Spread.of(speeds(plan)).median())).toList();
        return List.of(plans.get(byMedian.get(0)), plans.get(byMedian.get(1)), plans.getLast());
    }

    /** The static plan that was fastest in every second round, from {@code first} on. */
    int bestStatic(int first) {
        return IntStream.range(0, plans.size() - 1).boxed().max(Comparator.comparingDouble(plan -> half(speeds(plan), first).median()))
            .orElseThrow();
    }

    /**
     * The adaptive plan over the best static one. Which that is, is taken from the rounds that are not compared: of plans that are as
     * good as each other, the one that had luck in some rounds is not the better for it in others.
     */
    Spread ofBest() {
        double[] ratios = new double[speeds(0).length];
        for (int first = 0; first < 2; first++) {
            double[] under = speeds(bestStatic(1 - first));
            double[] over = speeds(plans.size() - 1);
            for (int i = first; i < ratios.length; i += 2) {
                ratios[i] = over[i] / under[i];
            }
        }
        return Spread.of(ratios);
    }

    /** Names of the plans that {@link #ofBest} compares with. */
    String best() {
        return IntStream.range(0, 2).mapToObj(first -> plans.get(bestStatic(first))).distinct().collect(Collectors.joining(", "));
    }

    private static Spread half(double[] values, int first) {
        if (values.length < LEAST_ROUNDS) {
            throw new IllegalStateException("a round that names the rival is not compared with it, and there is but one");
        }
        return Spread.of(IntStream.iterate(first, i -> i < values.length, i -> i + 2).mapToDouble(i -> values[i]).toArray());
    }
}

package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Compares rollout engines on the same prompts. They take turns, round by round, so that whatever else the machine is doing hits all
 * of them alike; medians over the rounds count. Two engines that do the same may differ by some per cent all their life, by where their
 * memory lies, so that there can be several of each kind.
 */
public final class SpeedComparison {
    /**
     * One kind's medians.
     *
     * @param ratioToFirst median over the rounds of its speed over the first kind's in the same round
     */
    public record Result(double tokensPerSecond, double ratioToFirst, double acceptLength) {
    }

    /** Who is compared. */
    @FunctionalInterface
    public interface Contestant {
        /** Draws responses and says how that went. */
        RolloutStats generate(List<PromptGroup> prompts);

        /** An engine as it is. */
        static Contestant of(RolloutEngine engine) {
            return prompts -> engine.generate(prompts).stats();
        }
    }

    private SpeedComparison() {
    }

    /**
     * Runs every engine {@code rounds} times, after rounds that do not count: until they get no faster, or for {@code warmUp} seconds.
     *
     * @param engines one of each kind, in their order, then perhaps others of each kind in the same order, and so on
     */
    public static List<Result> run(List<RolloutEngine> engines, int kinds, List<PromptGroup> prompts, double warmUp, int rounds) {
        List<List<RolloutStats>> measured = measure(engines.stream().map(Contestant::of).toList(), Collections.nCopies(rounds, prompts),
            warmUp);
        List<Result> results = new ArrayList<>();
        for (int kind = 0; kind < kinds; kind++) {
            List<RolloutStats> all = new ArrayList<>();
            List<Double> ratios = new ArrayList<>();
            for (int first = 0; first < engines.size(); first += kinds) {
                for (int round = 0; round < rounds; round++) {
                    RolloutStats stats = measured.get(first + kind).get(round);
                    all.add(stats);
                    ratios.add(stats.tokensPerSecond() / measured.get(first).get(round).tokensPerSecond());
                }
            }
            results.add(new Result(median(all.stream().mapToDouble(RolloutStats::tokensPerSecond).toArray()),
                median(ratios.stream().mapToDouble(Double::doubleValue).toArray()),
                median(all.stream().mapToDouble(RolloutStats::acceptLength).toArray())));
        }
        return results;
    }

    /**
     * What every contestant, in their order, did in each round with the round's prompts. The first round's prompts also warm up.
     *
     * @param rounds the prompts of each round, at least one
     */
    public static List<List<RolloutStats>> measure(List<Contestant> contestants, List<List<PromptGroup>> rounds, double warmUp) {
        warmUp(contestants, rounds.getFirst(), warmUp);
        List<List<RolloutStats>> measured = new ArrayList<>();
        contestants.forEach(contestant -> measured.add(new ArrayList<>()));
        for (int round = 0; round < rounds.size(); round++) {
            for (int turn = 0; turn < contestants.size(); turn++) {
                // Who goes first changes, so that none always runs in another's wake.
                int c = (round + turn) % contestants.size();
                measured.get(c).add(contestants.get(c).generate(rounds.get(round)));
            }
        }
        return measured;
    }

    /** The JIT takes some seconds per engine, and each one's speed says little until then. */
    private static void warmUp(List<Contestant> contestants, List<PromptGroup> prompts, double seconds) {
        double[] best = new double[contestants.size()];
        int still = 0;
        long begin = System.nanoTime();
        while (still < 4 && (System.nanoTime() - begin) * 1e-9 < seconds) {
            boolean faster = false;
            for (int c = 0; c < best.length; c++) {
                double speed = 0;
                for (int i = 0; i < 2; i++) {
                    speed = Math.max(speed, contestants.get(c).generate(prompts).tokensPerSecond());
                }
                faster |= speed > 1.03 * best[c];
                best[c] = Math.max(best[c], speed);
            }
            still = faster ? 0 : still + 1;
        }
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}

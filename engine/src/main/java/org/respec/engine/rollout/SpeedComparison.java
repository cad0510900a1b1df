package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Compares rollout engines on the same prompts. They take turns, round by round, so that whatever else the machine is doing hits all
 * of them alike; medians over the rounds count.
 */
public final class SpeedComparison {
    /**
     * One engine's medians.
     *
     * @param ratioToFirst median over the rounds of its speed over the first engine's in the same round
     */
    public record Result(double tokensPerSecond, double ratioToFirst, double acceptLength) {
    }

    private SpeedComparison() {
    }

    /** Runs every engine {@code rounds} times, after {@code warmUps} rounds that do not count. */
    public static List<Result> run(List<RolloutEngine> engines, List<PromptGroup> prompts, int warmUps, int rounds) {
        double[][] speeds = new double[engines.size()][rounds];
        double[][] accepts = new double[engines.size()][rounds];
        for (int round = -warmUps; round < rounds; round++) {
            for (int turn = 0; turn < engines.size(); turn++) {
                // Who goes first changes, so that no engine always runs in another's wake.
                int e = Math.floorMod(round + turn, engines.size());
                RolloutStats stats = engines.get(e).generate(prompts).stats();
                if (round >= 0) {
                    speeds[e][round] = stats.tokensPerSecond();
                    accepts[e][round] = stats.acceptLength();
                }
            }
        }
        List<Result> results = new ArrayList<>();
        for (int e = 0; e < speeds.length; e++) {
            double[] ratios = new double[rounds];
            for (int round = 0; round < rounds; round++) {
                ratios[round] = speeds[e][round] / speeds[0][round];
            }
            results.add(new Result(median(speeds[e]), median(ratios), median(accepts[e])));
        }
        return results;
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}

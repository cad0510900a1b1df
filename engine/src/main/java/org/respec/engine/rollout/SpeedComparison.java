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

    /** Runs every engine {@code rounds} times, after rounds that do not count: until they get no faster, or for {@code warmUp} seconds. */
    public static List<Result> run(List<RolloutEngine> engines, List<PromptGroup> prompts, double warmUp, int rounds) {
        warmUp(engines, prompts, warmUp);
        double[][] speeds = new double[engines.size()][rounds];
        double[][] accepts = new double[engines.size()][rounds];
        for (int round = 0; round < rounds; round++) {
            for (int turn = 0; turn < engines.size(); turn++) {
                // Who goes first changes, so that no engine always runs in another's wake.
                int e = (round + turn) % engines.size();
                RolloutStats stats = engines.get(e).generate(prompts).stats();
                speeds[e][round] = stats.tokensPerSecond();
                accepts[e][round] = stats.acceptLength();
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

    /** The JIT takes some seconds per engine, and each one's speed says little until then. */
    private static void warmUp(List<RolloutEngine> engines, List<PromptGroup> prompts, double seconds) {
        double[] best = new double[engines.size()];
        int still = 0;
        long begin = System.nanoTime();
        while (still < 4 && (System.nanoTime() - begin) * 1e-9 < seconds) {
            boolean faster = false;
            for (int e = 0; e < best.length; e++) {
                double speed = 0;
                for (int i = 0; i < 2; i++) {
                    speed = Math.max(speed, engines.get(e).generate(prompts).stats().tokensPerSecond());
                }
                faster |= speed > 1.03 * best[e];
                best[e] = Math.max(best[e], speed);
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

package org.respec.engine.speculation;

import java.util.Arrays;
import org.respec.kernels.TreeBatch;

/**
 * Chances for the live requests: those for all requests times the mean rate of the live ones over that of all who came so deep of late. A
 * live request counts at a depth as far as it is likely to come so deep, since it is the better ones that do.
 */
final class LiveAcceptance implements Acceptance {
    private static final double WINDOW = 2000;
    /** Requests of rate 1 that are taken to have come to each depth before any did. */
    private static final double PRIOR = 20;

    private final Acceptance all;
    private final LiveBatch live;
    private final RequestRates rates;
    private final double[] rate;
    private final double[] reach;
    private final double[] factors = new double[TreeBatch.MAX_DEPTH + 1];
    /** By depth: rates of the requests that came so deep, their chances that a named choice is right, and how many these were. */
    private final double[] chanceSums = new double[TreeBatch.MAX_DEPTH + 1];
    private final double[] rateSums = new double[TreeBatch.MAX_DEPTH + 1];
    private final double[] counts = new double[TreeBatch.MAX_DEPTH + 1];

    LiveAcceptance(Acceptance all, LiveBatch live) {
        this.all = all;
        this.live = live;
        rates = new RequestRates(live);
        rate = new double[live.most()];
        reach = new double[live.most()];
        Arrays.fill(factors, 1);
    }

    /** A live request came to depth {@code depth - 1}; the chance that holds for all at {@code depth} is among others its own. */
    void observe(int request, int depth, double chance, boolean hit) {
        chanceSums[depth] = (1 - 1 / WINDOW) * chanceSums[depth] + chance;
        rateSums[depth] = (1 - 1 / WINDOW) * rateSums[depth] + rates.rate(request);
        counts[depth] = (1 - 1 / WINDOW) * counts[depth] + 1;
        rates.observe(request, chance, hit);
    }

    /** Takes the requests that are live now; as those of all where there are none. */
    void refresh() {
        for (int r = 0; r < live.size(); r++) {
            rate[r] = rates.rate(r);
            reach[r] = 1;
        }
        for (int depth = 1; depth < factors.length; depth++) {
            double named = (chanceSums[depth] + PRIOR * all.chance(depth, 0)) / (counts[depth] + PRIOR);
            double reached = 0;
            double passed = 0;
            for (int r = 0; r < live.size(); r++) {
                double chance = Math.min(1, rate[r] * named);
                reached += reach[r];
                reach[r] *= chance;
                passed += reach[r];
            }
            double ofAll = (rateSums[depth] + PRIOR) / (counts[depth] + PRIOR);
            factors[depth] = reached == 0 ? 1 : Math.min(passed / (reached * named * ofAll), 1 / any(depth));
        }
    }

    /** Chance that any choice is right, however many were named. */
    private double any(int depth) {
        double any = 0;
        for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
            any += all.chance(depth, rank);
        }
        return any;
    }

    @Override
    public double chance(int depth, int rank) {
        return factors[depth] * all.chance(depth, rank);
    }
}

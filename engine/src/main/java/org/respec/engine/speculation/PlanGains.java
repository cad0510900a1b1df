package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.List;

/**
 * Tokens that each plan's steps are expected to gain: what chances by depth and rank give for the best fixed tree, times how much more or
 * less the plan's real trees gained of late. Real trees follow the drafter's scores and do better than fixed ones.
 */
final class PlanGains {
    private static final double GAIN_DECAY = 0.97;
    private static final double GAIN_FADE = 0.002;
    /** Steps over which prediction is compared with what came, 100 of them for 1/e. */
    private static final double ERROR_DECAY = 0.99;
    /** Steps between recomputations of expected tokens, which move slowly; fewer at first, a half of all there were. */
    private static final int REFRESH = 64;

    private final List<SpeculationPlan> plans;
    private final AcceptanceTracker acceptance;
    private final ExpectedTokens expectation = new ExpectedTokens();
    private final double[] expected;
    private final double[] gains;
    /** What share of a gain was learnt since expected tokens were last computed. */
    private final double[] fresh;
    private long refreshed = -1;
    private int age;
    private long passed;
    private double predicted;
    private double seen;

    PlanGains(List<SpeculationPlan> plans, AcceptanceTracker acceptance) {
        this.plans = plans;
        this.acceptance = acceptance;
        this.expected = new double[plans.size()];
        this.gains = new double[plans.size()];
        this.fresh = new double[plans.size()];
        Arrays.fill(gains, 1);
    }

    /** Takes what acceptance has become, at the next {@link #refresh}, however few steps have passed. */
    void expire() {
        refreshed = -1;
    }

    /** Takes what acceptance has become, now and then. */
    void refresh(int steps) {
        age += steps;
        passed += steps;
        if (refreshed != acceptance.version() && (refreshed < 0 || 2L * age >= Math.min(2 * REFRESH, passed))) {
            expectation.refresh(acceptance.live());
            for (int i = 0; i < expected.length; i++) {
                double before = expected[i] - 1;
                expected[i] = expectation.of(plans.get(i));
                if (fresh[i] > 0 && expected[i] > 1) {
                    // What a gain has learnt since made up for an expectation that was behind, and no longer is.
                    gains[i] *= Math.pow(before / (expected[i] - 1), fresh[i]);
                    fresh[i] = 0;
                }
            }
            refreshed = acceptance.version();
            age = 0;
        }
    }

    /** Tokens per request and step, bonus included. */
    double tokens(int plan) {
        return 1 + gains[plan] * (expected[plan] - 1);
    }

    /** A step of {@code plan} over {@code batch} requests gained this many tokens. */
    void observe(int plan, int batch, int tokens) {
        if (plans.get(plan).isOff()) {
            return;
        }
        predicted = ERROR_DECAY * predicted + batch * tokens(plan);
        seen = ERROR_DECAY * seen + tokens;
        if (expected[plan] > 1.05) {
            double gained = (double) tokens / batch - 1;
            double ratio = Math.clamp(gained / (expected[plan] - 1), 0.0, 3.0);
            gains[plan] = GAIN_DECAY * gains[plan] + (1 - GAIN_DECAY) * ratio;
            fresh[plan] = 1 - GAIN_DECAY * (1 - fresh[plan]);
        }
        for (int i = 1; i < gains.length; i++) {
            // What was seen of a plan long ago, perhaps while acceptance was still hoped for, is not held against it for ever.
            gains[i] += i == plan ? 0 : GAIN_FADE * (1 - gains[i]);
        }
    }

    /**
     * How wrong the predicted tokens of speculative steps were of late: relative difference of the decayed sums, since how many a single
     * step gains is chance; NaN before the first.
     */
    double error() {
        return seen == 0 ? Double.NaN : Math.abs(predicted / seen - 1);
    }
}

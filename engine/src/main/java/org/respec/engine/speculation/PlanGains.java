package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.List;

/**
 * Tokens that each plan's steps are expected to gain: what chances by depth and rank give for the best fixed tree, times how much more or
 * less real steps gained of late. A part of that is common to all plans, as where responses end within a path; a part is the plan's own,
 * as where trees follow the drafter's scores and do better than fixed ones.
 */
final class PlanGains {
    /** Steps of one request that the common part is learnt from before older ones fade, and how many its first value counts for. */
    private static final double WINDOW = 1000;
    private static final double PRIOR = 50;
    /** What share of what the common part learns of a step a plan's own part learns. */
    private static final double OWN = 0.5;
    /** Plans that are not taken lose by step such a part of what was their own: it was learnt long ago, when acceptance was another. */
    private static final double FADE = 0.0005;
    /**
     * Steps of off after which what was seen of gains counts 1/e: first tokens of responses are accepted less than later ones, and whoever
     * knows only of those would not speculate in any rollout's tail.
     */
    private static final double FORGET = 2000;
    private static final double LEAST = 0.01;
    private static final double FORGOTTEN = 1e-4;
    /** Steps over which prediction is compared with what came, 100 of them for 1/e. */
    private static final double ERROR_DECAY = 0.99;
    /** Steps between recomputations of expected tokens, which move slowly; fewer at first, a half of all there were. */
    private static final int REFRESH = 64;

    private final List<SpeculationPlan> plans;
    private final AcceptanceTracker acceptance;
    private final ExpectedTokens expectation = new ExpectedTokens();
    private final double[] expected;
    private double common = 1;
    private double weight = PRIOR;
    private final double[] own;
    /** What share of the common part was learnt since expected tokens were last computed. */
    private double fresh;
    /** The plan of the last steps, and for how many of them other plans' own parts have not faded yet. */
    private int last;
    private int unfaded;
    /** Steps of off for which nothing has faded yet. */
    private int offSteps;
    private long refreshed = -1;
    private int age;
    private long passed;
    private double predicted;
    private double seen;

    PlanGains(List<SpeculationPlan> plans, AcceptanceTracker acceptance) {
        this.plans = plans;
        this.acceptance = acceptance;
        this.expected = new double[plans.size()];
        this.own = new double[plans.size()];
        Arrays.fill(own, 1);
    }

    /** Takes what acceptance has become, at the next {@link #refresh}, however few steps have passed. */
    void expire() {
        refreshed = -1;
    }

    /** Takes what acceptance has become, now and then. */
    void refresh(int steps) {
        fade();
        forget();
        age += steps;
        passed += steps;
        if (refreshed != acceptance.version() && (refreshed < 0 || 2L * age >= Math.min(2 * REFRESH, passed))) {
            double before = expected[last] - 1;
            expectation.refresh(acceptance.live());
            for (int i = 0; i < expected.length; i++) {
                expected[i] = expectation.of(plans.get(i));
            }
            if (fresh > 0 && expected[last] > 1) {
                // What was learnt since made up for an expectation that was behind, and no longer is.
                common = Math.clamp(common * Math.pow(before / (expected[last] - 1), fresh), LEAST, 1 / LEAST);
                fresh = 0;
            }
            refreshed = acceptance.version();
            age = 0;
        }
    }

    /** Tokens per request and step, bonus included. */
    double tokens(int plan) {
        return 1 + common * own[plan] * (expected[plan] - 1);
    }

    /** A step of {@code plan} over {@code batch} requests gained this many tokens. */
    void observe(int plan, int batch, int tokens) {
        if (plans.get(plan).isOff()) {
            offSteps++;
            return;
        }
        if (plan != last) {
            fade();
            last = plan;
        }
        unfaded++;
        predicted = ERROR_DECAY * predicted + batch * tokens(plan);
        seen = ERROR_DECAY * seen + tokens;
        if (expected[plan] > 1.05) {
            double ratio = Math.clamp(((double) tokens / batch - 1) / (expected[plan] - 1), 0.0, 3.0);
            weight = Math.min(WINDOW, weight + batch);
            double part = Math.min(1, batch / weight);
            double error = ratio - common * own[plan];
            own[plan] = Math.clamp(own[plan] + OWN * part * error / common, LEAST, 1 / LEAST);
            common = Math.clamp(common + part * error / own[plan], LEAST, 1 / LEAST);
            fresh += part * (1 - fresh);
        }
    }

    private void forget() {
        if (offSteps == 0) {
            return;
        }
        double kept = Math.exp(-offSteps / FORGET);
        offSteps = 0;
        common = 1 + kept * (common - 1);
        weight = PRIOR + kept * (weight - PRIOR);
        for (int i = 1; i < own.length; i++) {
            own[i] = 1 + kept * (own[i] - 1);
        }
        acceptance.fade(kept);
    }

    private void fade() {
        double kept = Math.pow(1 - FADE, unfaded);
        unfaded = 0;
        for (int i = 1; i < own.length; i++) {
            if (i != last && own[i] != 1) {
                double faded = 1 + kept * (own[i] - 1);
                own[i] = Math.abs(faded - 1) < FORGOTTEN ? 1 : faded;
            }
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

package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * By how much some things are dearer than a profile says, one beside another: a Kalman filter of the factors' logarithms, each with a
 * variance of its own. A comparison says nothing of either alone, so that what it shows is laid to both, most to the one that is known
 * less. What was learnt fades, back to the profile: it may be a mistake that keeps something from being taken, and so from being put
 * right.
 */
final class LearntFactors {
    /** The least variance of the profile from the truth. */
    private static final double LEAST_DOUBT = 0.05 * 0.05;
    /** Of an error of more than so many standard deviations the rest is chance, or less was known than was thought. */
    private static final double SURPRISING = 2.5;
    private static final double SURPRISED = 2;
    /** Steps after which what was learnt counts 1/e. */
    private static final double MEMORY = 10_000;
    /** Doublings after which a neighbour learns nothing. */
    private static final double REACH = 0.7;

    private final double[] logarithms;
    /** Their exponentials, each computed when it is asked for; NaN where it was not. */
    private final double[] factors;
    private final double[] variances;
    private final double[][] nearness;
    /** Variance of the profile from the truth: as much as what is known turned out to be off. */
    private double doubt = LEAST_DOUBT;
    /** Up to when knowledge has faded. */
    private long settled;

    /** @param nearness what share of what is learnt of a thing each other one learns */
    LearntFactors(double[][] nearness) {
        this.nearness = nearness;
        logarithms = new double[nearness.length];
        factors = new double[nearness.length];
        variances = new double[nearness.length];
        forget();
    }

    /** Goes back to the profile. */
    void forget() {
        Arrays.fill(logarithms, 0);
        Arrays.fill(factors, 1);
        doubt = LEAST_DOUBT;
        Arrays.fill(variances, doubt);
    }

    /** How near sizes are to each other: 1 for the same, 0 from a ratio on. */
    static double nearness(double a, double b) {
        return a == b ? 1 : Math.max(0, 1 - Math.abs(Math.log(a / b)) / (REACH * Math.log(2)));
    }

    double factor(int of) {
        if (Double.isNaN(factors[of])) {
            factors[of] = Math.exp(logarithms[of]);
        }
        return factors[of];
    }

    /** Of the factor's logarithm. */
    double variance(int of) {
        return variances[of];
    }

    /** How little is known of a factor: 1 for nothing but the profile, less with all that was learnt. */
    double ignorance(int of) {
        return Math.min(1, variances[of] / doubt);
    }

    /** {@code a} beside {@code b} was dearer than was thought by an {@code error} (of logarithms) of variance {@code noise}. */
    void compare(int a, int b, double error, double noise) {
        double most = SURPRISING * Math.sqrt(variances[a] + variances[b] + noise);
        if (Math.abs(error) > most) {
            variances[a] *= SURPRISED;
            variances[b] *= SURPRISED;
        }
        double all = variances[a] + variances[b] + noise;
        double ofA = variances[a] / all;
        double ofB = variances[b] / all;
        add(a, ofA * Math.clamp(error, -most, most));
        add(b, -ofB * Math.clamp(error, -most, most));
        variances[a] *= 1 - ofA;
        variances[b] *= 1 - ofB;
        judgeProfile();
    }

    /** {@code a} was dearer than was thought by an {@code error} (of logarithms) of variance {@code noise}. */
    void learn(int a, double error, double noise) {
        double most = SURPRISING * Math.sqrt(variances[a] + noise);
        if (Math.abs(error) > most) {
            variances[a] *= SURPRISED;
        }
        double part = variances[a] / (variances[a] + noise);
        add(a, part * Math.clamp(error, -most, most));
        variances[a] *= 1 - part;
        judgeProfile();
    }

    private void judgeProfile() {
        double sum = 0;
        double known = 0;
        for (int i = 0; i < logarithms.length; i++) {
            double weight = Math.max(0, 1 - variances[i] / doubt);
            if (weight > 0) {
                sum += weight * logarithms[i] * logarithms[i];
                known += weight;
            }
        }
        double now = known == 0 ? doubt : Math.max(LEAST_DOUBT, sum / known);
        for (int i = 0; i < variances.length; i++) {
            variances[i] *= now / doubt;
        }
        doubt = now;
    }

    /** Adds to the logarithm of a factor, and to its neighbours', to those that are known better less. */
    private void add(int to, double more) {
        double[] near = nearness[to];
        double variance = variances[to];
        for (int i = 0; i < logarithms.length; i++) {
            if (near[i] > 0) {
                logarithms[i] += near[i] * Math.min(1, variances[i] / variance) * more;
                factors[i] = Double.NaN;
            }
        }
    }

    /** Fades what is known up to {@code now}, in steps. */
    void settle(long now) {
        double kept = Math.exp((settled - now) / MEMORY);
        settled = now;
        for (int i = 0; i < logarithms.length; i++) {
            logarithms[i] *= kept;
            variances[i] += (1 - kept * kept) * (doubt - variances[i]);
        }
        Arrays.fill(factors, Double.NaN);
    }
}

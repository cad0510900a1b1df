package org.respec.engine.sampling;

/**
 * The exact joint law of the actor's token and its place in the drafter's order under shared Gumbel noise. With E_x independent
 * exponentials of rate 1 the actor takes the least E_x / p_x and the drafter orders by E_x / q_x. If x wins at time T (exponential of
 * rate 1, independent of x, chance p_x), every other race is behind by an exponential of rate p_y, so y is before x in the drafter's order
 * with chance {@code 1 - exp(-a_y T)}, {@code a_y = max(0, p_x q_y / q_x - p_y)}, independently. Integrals over T are sums over
 * sets: nothing is sampled.
 */
final class CoupledRace {
    private CoupledRace() {
    }

    /** Chance {@code [x][r]} that the actor's token is x and the drafter's choice number r. */
    static double[][] law(double[] p, double[] q) {
        int vocab = p.length;
        double[][] law = new double[vocab][vocab];
        for (int x = 0; x < vocab; x++) {
            double[] a = new double[vocab];
            for (int y = 0; y < vocab; y++) {
                a[y] = y == x ? 0 : Math.max(0, p[x] * q[y] / q[x] - p[y]);
            }
            for (int before = 0; before < 1 << vocab; before++) {
                if ((before >> x & 1) == 0) {
                    law[x][Integer.bitCount(before)] += p[x] * chance(a, before, x);
                }
            }
        }
        return law;
    }

    /** Chance that just the tokens of a set are before x: {@code E[prod_in (1 - e^-aT) prod_out e^-aT]}, multiplied out. */
    private static double chance(double[] a, int before, int x) {
        double outside = 0;
        for (int y = 0; y < a.length; y++) {
            outside += y != x && (before >> y & 1) == 0 ? a[y] : 0;
        }
        double sum = 0;
        for (int chosen = before; ; chosen = chosen - 1 & before) {
            double rate = 1 + outside;
            for (int y = 0; y < a.length; y++) {
                rate += (chosen >> y & 1) == 1 ? a[y] : 0;
            }
            sum += (Integer.bitCount(chosen) % 2 == 0 ? 1 : -1) / rate;
            if (chosen == 0) {
                return sum;
            }
        }
    }
}

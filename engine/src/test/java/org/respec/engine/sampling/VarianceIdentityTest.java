package org.respec.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/**
 * The variance of the likelihood ratio of whole responses, {@code Var_{T~q}[prod p/q] = prod (1 + chi2(p_t || q_t)) - 1} (ReSpec,
 * equation 3): why a policy must not be taught as if a drafter's tokens were its own.
 */
class VarianceIdentityTest {
    private static final int VOCAB = 4;
    private static final int LENGTH = 5;

    private static double[] random(SplittableRandom random) {
        double[] p = new double[VOCAB];
        for (int x = 0; x < VOCAB; x++) {
            p[x] = 0.05 + random.nextDouble();
        }
        return Distributions.normalised(p);
    }

    /** What a position's distributions are, given what was drawn before. */
    private interface Chain {
        double[] p(int[] drawn, int length);

        double[] q(int[] drawn, int length);
    }

    /** The variance by enumeration of every response. */
    private static double variance(Chain chain) {
        double[] moments = new double[2];
        enumerate(chain, new int[LENGTH], 0, 1, 1, moments);
        assertEquals(1, moments[0], 1e-12, "the ratio's mean under q");
        return moments[1] - moments[0] * moments[0];
    }

    private static void enumerate(Chain chain, int[] drawn, int length, double probability, double ratio, double[] moments) {
        if (length == LENGTH) {
            moments[0] += probability * ratio;
            moments[1] += probability * ratio * ratio;
            return;
        }
        double[] p = chain.p(drawn, length);
        double[] q = chain.q(drawn, length);
        for (int x = 0; x < VOCAB; x++) {
            drawn[length] = x;
            enumerate(chain, drawn, length + 1, probability * q[x], ratio * p[x] / q[x], moments);
        }
    }

    @Test
    void holdsForIndependentPositions() {
        SplittableRandom random = new SplittableRandom(5);
        for (int trial = 0; trial < 20; trial++) {
            double[][] p = new double[LENGTH][];
            double[][] q = new double[LENGTH][];
            double product = 1;
            for (int t = 0; t < LENGTH; t++) {
                p[t] = random(random);
                q[t] = random(random);
                product *= 1 + Distributions.chiSquare(p[t], q[t]);
            }
            double variance = variance(chain((d, n) -> p[n], (d, n) -> q[n]));
            assertEquals(product - 1, variance, 1e-11 * product);
        }
    }

    @Test
    void growsAsAPowerOfTheLength() {
        SplittableRandom random = new SplittableRandom(6);
        double[] p = random(random);
        double[] q = random(random);
        double delta = Distributions.chiSquare(p, q);
        assertTrue(delta > 0.01, "distributions that differ");
        double power = Math.pow(1 + delta, LENGTH);
        assertEquals(power - 1, variance(chain((d, n) -> p, (d, n) -> q)), 1e-11 * power);
    }

    @Test
    void holdsAutoregressivelyWhereTheDivergenceIsTheSameAfterEveryPrefix() {
        SplittableRandom random = new SplittableRandom(7);
        double[] p = random(random);
        double[] q = random(random);
        double power = Math.pow(1 + Distributions.chiSquare(p, q), LENGTH);
        // What was drawn last turns both distributions by as much.
        double variance = variance(chain((d, n) -> turned(p, n == 0 ? 0 : d[n - 1]), (d, n) -> turned(q, n == 0 ? 0 : d[n - 1])));
        assertEquals(power - 1, variance, 1e-11 * power);
    }

    @Test
    void isANestedExpectationInGeneral() {
        PrefixModel actor = new PrefixModel(1, VOCAB, 2);
        PrefixModel drafter = new PrefixModel(2, VOCAB, 2);
        Chain chain = chain(actor::distribution, drafter::distribution);
        double nested = secondMoment(chain, new int[LENGTH], 0);
        assertEquals(nested - 1, variance(chain), 1e-11 * nested);
        double alongOnePrefix = 1;
        for (int t = 0; t < LENGTH; t++) {
            alongOnePrefix *= 1 + Distributions.chiSquare(actor.distribution(new int[LENGTH], t), drafter.distribution(new int[LENGTH], t));
        }
        assertTrue(Math.abs(alongOnePrefix - nested) > 0.01 * nested, "the product along one prefix is another number");
    }

    private static double secondMoment(Chain chain, int[] drawn, int length) {
        if (length == LENGTH) {
            return 1;
        }
        double[] p = chain.p(drawn, length);
        double[] q = chain.q(drawn, length);
        double sum = 0;
        for (int x = 0; x < VOCAB; x++) {
            drawn[length] = x;
            sum += p[x] * p[x] / q[x] * secondMoment(chain, drawn, length + 1);
        }
        return sum;
    }

    private static double[] turned(double[] p, int by) {
        double[] out = new double[VOCAB];
        for (int x = 0; x < VOCAB; x++) {
            out[(x + by) % VOCAB] = p[x];
        }
        return out;
    }

    private interface Position {
        double[] at(int[] drawn, int length);
    }

    private static Chain chain(Position p, Position q) {
        return new Chain() {
            @Override
            public double[] p(int[] drawn, int length) {
                return p.at(drawn, length);
            }

            @Override
            public double[] q(int[] drawn, int length) {
                return q.at(drawn, length);
            }
        };
    }
}

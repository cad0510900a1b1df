package org.respec.engine.sampling;

/** Small arithmetic on distributions over a vocabulary, in doubles. */
public final class Distributions {
    private Distributions() {
    }

    /** Softmax of {@code logits[from .. from + vocab)} over {@code temperature}; at 0 all mass is on the largest (the first of equals). */
    public static double[] softmax(float[] logits, int from, int vocab, double temperature) {
        double[] p = new double[vocab];
        int best = 0;
        for (int x = 1; x < vocab; x++) {
            best = logits[from + x] > logits[from + best] ? x : best;
        }
        if (temperature == 0) {
            p[best] = 1;
            return p;
        }
        double sum = 0;
        for (int x = 0; x < vocab; x++) {
            p[x] = Math.exp(((double) logits[from + x] - logits[from + best]) / temperature);
            sum += p[x];
        }
        for (int x = 0; x < vocab; x++) {
            p[x] /= sum;
        }
        return p;
    }

    /** A distribution in proportion to {@code p} to the power of 1 / {@code temperature}; at 0 all mass is on the largest. */
    public static double[] tempered(double[] p, double temperature) {
        double[] out = new double[p.length];
        int best = largest(p, 1)[0];
        for (int x = 0; x < p.length; x++) {
            out[x] = temperature == 0 ? x == best ? 1 : 0 : Math.pow(p[x] / p[best], 1 / temperature);
        }
        return normalised(out);
    }

    /** From the first to the last. */
    public static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }

    /** A copy that sums to 1. */
    public static double[] normalised(double[] weights) {
        double sum = sum(weights);
        if (!(sum > 0) || Double.isInfinite(sum)) {
            throw new IllegalArgumentException("weights that sum to " + sum + " are no distribution");
        }
        double[] p = new double[weights.length];
        for (int x = 0; x < p.length; x++) {
            p[x] = weights[x] / sum;
        }
        return p;
    }

    /** Places of the {@code count} largest values (or of all, if there are fewer), largest first, equals in order. */
    public static int[] largest(double[] values, int count) {
        int[] best = new int[Math.min(count, values.length)];
        int held = 0;
        for (int x = 0; x < values.length; x++) {
            if (held == best.length && !(values[x] > values[best[held - 1]])) {
                continue;
            }
            int at = held < best.length ? held++ : held - 1;
            while (at > 0 && values[x] > values[best[at - 1]]) {
                best[at] = best[at - 1];
                at--;
            }
            best[at] = x;
        }
        return best;
    }

    /** Mass that two distributions share, {@code sum min(p, q)}: the chance that one sampled draft is accepted. */
    public static double overlap(double[] p, double[] q) {
        double sum = 0;
        for (int x = 0; x < p.length; x++) {
            sum += Math.min(p[x], q[x]);
        }
        return sum;
    }

    /** Chi-square divergence {@code sum p^2 / q - 1} of p from q; infinite where q lacks a token of p. */
    public static double chiSquare(double[] p, double[] q) {
        double sum = -1;
        for (int x = 0; x < p.length; x++) {
            sum += p[x] == 0 ? 0 : p[x] * p[x] / q[x];
        }
        return sum;
    }
}

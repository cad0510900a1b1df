package org.respec.kernels.cpu;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.respec.kernels.SamplingParams;

/** Softmax, filters and the chi-square bound in doubles, written for plainness. */
final class Softmaxes {
    private Softmaxes() {
    }

    /** log-softmax of {@code logits / temperature}; temperature 0 counts as 1. */
    static double[] logSoftmax(double[] logits, double temperature) {
        double heat = temperature > 0 ? temperature : 1;
        double max = Arrays.stream(logits).max().orElseThrow() / heat;
        double sum = 0;
        for (double logit : logits) {
            sum += Math.exp(logit / heat - max);
        }
        double log = max + Math.log(sum);
        return Arrays.stream(logits).map(logit -> logit / heat - log).toArray();
    }

    /** Tokens by falling value, equal ones by rising number. */
    static int[] order(double[] values) {
        return IntStream.range(0, values.length).boxed().sorted(Comparator.comparingDouble((Integer x) -> -values[x])).mapToInt(x -> x)
            .toArray();
    }

    /** Log-probabilities after temperature, top-k, then top-p of what top-k kept; -infinity for what is left out. */
    static double[] filtered(double[] logits, SamplingParams params) {
        double[] logs = logSoftmax(logits, params.temperature());
        if (params.temperature() == 0) {
            return logs;
        }
        int[] order = order(logs);
        int keep = params.topK() > 0 ? Math.min(params.topK(), logs.length) : logs.length;
        double total = 0;
        for (int i = 0; i < keep; i++) {
            total += Math.exp(logs[order[i]]);
        }
        double sum = 0;
        int count = 0;
        while (count < keep && (params.topP() == 1f || sum < params.topP() * total)) {
            sum += Math.exp(logs[order[count++]]);
        }
        double[] kept = new double[logs.length];
        Arrays.fill(kept, Double.NEGATIVE_INFINITY);
        for (int i = 0; i < count; i++) {
            kept[order[i]] = logs[order[i]] - Math.log(sum);
        }
        return kept;
    }

    /** Pearson's statistic of {@code counts} against probabilities; cells of probability 0 must be empty. */
    static double chiSquare(long[] counts, double[] p) {
        long n = Arrays.stream(counts).sum();
        double chi = 0;
        for (int i = 0; i < p.length; i++) {
            if (p[i] == 0 && counts[i] > 0) {
                return Double.POSITIVE_INFINITY;
            }
            if (p[i] > 0) {
                chi += (counts[i] - n * p[i]) * (counts[i] - n * p[i]) / (n * p[i]);
            }
        }
        return chi;
    }

    /** The 0.9999 quantile of chi-square, by Wilson and Hilferty (1931): within 1 % from 5 degrees of freedom on. */
    static double chiSquareBound(int degrees) {
        double a = 2.0 / (9 * degrees);
        return degrees * Math.pow(1 - a + 3.719016 * Math.sqrt(a), 3);
    }
}

package org.respec.engine.rollout;

import org.respec.engine.speculation.Survival;

/**
 * How long responses will be, from how long they were. A prompt's expected length is the decayed mean of its own earlier responses'
 * lengths; one that was not met before goes by prompts of about its number of tokens, and those by all. It is for choosing who goes
 * first and for foreseeing a rollout's tail: nothing that is drawn depends on it.
 */
public final class ResponseLengths implements Survival {
    /** Prompts that are remembered by themselves; where two share a place the later takes it. */
    private static final int PLACES = 1 << 14;
    private static final int PROMPT_BINS = 64;
    private static final int LENGTH_BINS = 64;
    /** Responses after which an old one counts 1/e: of one prompt, of prompts of a length, and of all. */
    private static final double OWN_WINDOW = 32;
    private static final double WINDOW = 1000;
    /** Responses that what is known of prompts alike counts for beside a prompt's own, and what is known of all beside those alike. */
    private static final double OWN_PRIOR = 1;
    private static final double ALIKE_PRIOR = 4;
    /** Responses so long that it takes so many of them to say how much longer they become. */
    private static final double LEAST_RESPONSES = 0.5;
    /** A prompt's responses are never taken to be more than so many times longer or shorter than the mean. */
    private static final double MOST_SCALE = 8;

    private final int maxTokens;
    private final int promptWidth;
    private final long[] prompts = new long[PLACES];
    private final float[] ownSums = new float[PLACES];
    private final float[] ownCounts = new float[PLACES];
    private final double[] alikeSums = new double[PROMPT_BINS];
    private final double[] alikeCounts = new double[PROMPT_BINS];
    private double sum;
    private double count;
    /** Decayed numbers of responses by length over their prompt's scale, and from it tokens left after so many, all in bins. */
    private final double[] ends = new double[LENGTH_BINS];
    private final double[] left = new double[LENGTH_BINS];
    /** As {@link #refresh} found them: decayed numbers of responses that were longer than the bins before each. */
    private final double[] longer = new double[LENGTH_BINS + 1];
    private final double lengthWidth;

    /** Nothing is known yet of responses of up to {@code maxTokens} tokens. */
    public ResponseLengths(int maxPrompt, int maxTokens) {
        this.maxTokens = maxTokens;
        promptWidth = Math.ceilDiv(maxPrompt, PROMPT_BINS);
        lengthWidth = (double) maxTokens / LENGTH_BINS;
    }

    /** Tokens that responses to a prompt are expected to have; the limit before anything is known. */
    double expected(int[] prompt) {
        if (count == 0) {
            return maxTokens;
        }
        int bin = promptBin(prompt);
        double alike = (alikeSums[bin] + ALIKE_PRIOR * mean()) / (alikeCounts[bin] + ALIKE_PRIOR);
        long scope = NgramPredictor.scope(prompt);
        int place = place(scope);
        return prompts[place] != scope ? alike : (ownSums[place] + OWN_PRIOR * alike) / (ownCounts[place] + OWN_PRIOR);
    }

    /** How much longer responses to a prompt are expected to be than all are: a factor of 1/8 to 8. */
    public double scale(int[] prompt) {
        return count == 0 ? 1 : Math.clamp(expected(prompt) / mean(), 1 / MOST_SCALE, MOST_SCALE);
    }

    /**
     * Tokens that a response is expected to have beyond those drawn, given that it has not ended; NaN before anything is known.
     *
     * @param scale see {@link #scale}
     */
    public double remaining(int drawn, double scale) {
        return count == 0 ? Double.NaN : Math.min(maxTokens - drawn, scale * left[lengthBin(drawn / scale)]);
    }

    @Override
    public double share(int drawn, double ahead, double scale) {
        if (count == 0) {
            return Double.NaN;
        }
        if (drawn + ahead >= maxTokens) {
            return 0;
        }
        double now = longer(drawn / scale);
        return now > LEAST_RESPONSES ? longer((drawn + ahead) / scale) / now : Math.exp(-ahead / (scale * lengthWidth / 2));
    }

    /** Decayed number of responses that were longer than that, over their prompt's scale. */
    private double longer(double length) {
        int bin = lengthBin(length);
        double part = Math.min(1, length / lengthWidth - bin);
        return longer[bin] + part * (longer[bin + 1] - longer[bin]);
    }

    private int lengthBin(double length) {
        return Math.min(LENGTH_BINS - 1, (int) (length / lengthWidth));
    }

    private double mean() {
        return sum / count;
    }

    /**
     * A response to a prompt had so many tokens: told in request order, so that orders to come do not depend on the order of ends.
     *
     * @param scale the one that the prompt had when the response began
     */
    public void observe(int[] prompt, int tokens, double scale) {
        for (int bin = 0; bin < LENGTH_BINS; bin++) {
            ends[bin] *= 1 - 1 / WINDOW;
        }
        ends[lengthBin(tokens / scale)]++;
        double decay = 1 - 1 / WINDOW;
        sum = sum * decay + tokens;
        count = count * decay + 1;
        int bin = promptBin(prompt);
        alikeSums[bin] = alikeSums[bin] * decay + tokens;
        alikeCounts[bin] = alikeCounts[bin] * decay + 1;
        long scope = NgramPredictor.scope(prompt);
        int place = place(scope);
        if (prompts[place] != scope) {
            prompts[place] = scope;
            ownSums[place] = 0;
            ownCounts[place] = 0;
        }
        double own = 1 - 1 / OWN_WINDOW;
        ownSums[place] = (float) (ownSums[place] * own + tokens);
        ownCounts[place] = (float) (ownCounts[place] * own + 1);
    }

    /** Takes what was observed into {@link #remaining} and {@link #share}. */
    public void refresh() {
        double after = 0;
        double beyond = 0;
        for (int bin = LENGTH_BINS - 1; bin >= 0; bin--) {
            // Of those that end in this bin, one that has got as far as its middle has half of it to go.
            beyond += after * lengthWidth + ends[bin] * lengthWidth / 2;
            after += ends[bin];
            longer[bin] = after;
            left[bin] = after > LEAST_RESPONSES ? beyond / after : lengthWidth / 2;
        }
    }

    private int promptBin(int[] prompt) {
        return Math.min(PROMPT_BINS - 1, (prompt.length - 1) / promptWidth);
    }

    private static int place(long scope) {
        return (int) (scope * 0x9E3779B97F4A7C15L >>> 50);
    }
}

package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;

/**
 * Whether leaving off pays before the rollout ends. A plan saves the more of a step's time the fewer requests are left, so that what is
 * still to be drawn is parted by how many are expected to be live then. (With the mean of what is left of each in its place, all of a
 * batch that began together would end together, and there would be no tail.) What is saved must make up for the price, the drafter's
 * extension over all that it missed; and by waiting until fewer are live, whose extension is cheaper, no more may be won. So too must
 * going off win what turning on again costs.
 */
final class TurnOn {
    /** What turning on costs. */
    @FunctionalInterface
    interface Price {
        /** Seconds for {@code plan} and so many live requests, {@code missedRows} of whose decided tokens the drafter has missed. */
        double seconds(int batch, int missedRows, int plan);
    }

    /** How many times its price turning on must be expected to save: predictions may be wrong. */
    private static final double WORTH = 1.25;
    /** Steps that are not looked beyond, and live requests under which the rest is nothing. */
    private static final double FARTHEST = 1 << 20;
    private static final double LEAST_LIVE = 0.02;
    private static final int CLASSES = 2 * StepCorrections.SIZES;

    /** By class of batch: what share of off's time the best plan was last thought to save; NaN where nobody asked. */
    private final double[] shares = new double[CLASSES];
    /** By class of batch, for the rest of a rollout: steps that off would take, and the most requests that are live in them. */
    private final double[] steps = new double[CLASSES];
    private final int[] batches = new int[CLASSES];
    private final IntToDoubleFunction offSeconds;
    private final IntToDoubleFunction share;
    private final Price price;
    private LiveBatch live;
    /** Of the latest {@link #note}. */
    private int present;
    private double presentShare;

    /**
     * By live requests:
     *
     * @param offSeconds of a step of off
     * @param share as {@link #note} takes it, where it was not told lately
     */
    TurnOn(IntToDoubleFunction offSeconds, IntToDoubleFunction share, Price price) {
        this.offSeconds = offSeconds;
        this.share = share;
        this.price = price;
        forget();
    }

    /** Says where it stands, from now on, what is left of each live request. */
    void attach(LiveBatch batch) {
        live = batch;
    }

    /** Steps no longer take what they took. */
    void forget() {
        Arrays.fill(shares, Double.NaN);
    }

    /**
     * For so many requests the best plan saves such a share of the time that off takes for as many tokens; under 0 if it takes longer.
     *
     * @param lasting whether that will be true of as many requests at other times too
     */
    void note(int batch, double share, boolean lasting) {
        present = sizeClass(batch);
        presentShare = share;
        if (lasting) {
            shares[present] = share;
        }
    }

    /**
     * Whether turning on {@code plan} now pays.
     *
     * @param batch live requests, of whom {@link #note} was last told
     * @param missedRows decided tokens that the drafter has not been extended over
     * @param remainingTokens tokens that are expected to be drawn until the rollout's end
     */
    boolean pays(int batch, int missedRows, double remainingTokens, int plan) {
        part(batch, remainingTokens);
        double wait = 0;
        for (int c = 0; c <= present; c++) {
            wait += steps[c];
        }
        double saved = 0;
        double bestLater = 0;
        // From the last steps backwards: what is saved adds up, and there is less to wait for.
        for (int c = 0; c <= present; c++) {
            if (steps[c] == 0) {
                continue;
            }
            saved += Math.max(0, saved(c));
            wait -= steps[c];
            if (c < present) {
                double missed = batches[c] * ((double) missedRows / batch + wait);
                bestLater = Math.max(bestLater, saved - price.seconds(batches[c], (int) Math.min(missed, Integer.MAX_VALUE), plan));
            }
        }
        double now = price.seconds(batch, missedRows, plan);
        return saved >= WORTH * now && saved - now >= bestLater;
    }

    /**
     * Whether going off for {@code batch} live requests, where it is faster, pays. As their number falls, {@code plan} may pay again; then
     * what was won must make up for turning it on, unless off is best for what is left in all.
     *
     * @param batch live requests, of whom {@link #note} was last told
     * @param missedRows decided tokens that the drafter has not been extended over, such as prompts: while it is off it need not be
     */
    boolean leavingPays(int batch, int missedRows, double remainingTokens, int plan) {
        part(batch, remainingTokens);
        double won = price.seconds(batch, missedRows, plan) - price.seconds(batch, 0, plan);
        double missed = (double) missedRows / batch;
        for (int c = present; c >= 0; c--) {
            if (steps[c] == 0) {
                continue;
            }
            if (batches[c] < batch && won > price.seconds(batches[c], (int) Math.min(batches[c] * missed, Integer.MAX_VALUE), plan)) {
                return true;
            }
            won -= saved(c);
            missed += steps[c];
        }
        return won > 0;
    }

    /** Seconds that turning on saves in the steps of a class. */
    private double saved(int c) {
        if (c != present && Double.isNaN(shares[c])) {
            shares[c] = share.applyAsDouble(batches[c]);
        }
        return steps[c] * offSeconds.applyAsDouble(batches[c]) * (c == present ? presentShare : shares[c]);
    }

    /** Parts what is left by how many requests will be live. */
    private void part(int batch, double remainingTokens) {
        Arrays.fill(steps, 0);
        Arrays.fill(batches, 0);
        double waiting = remainingTokens;
        if (live != null && live.size() == batch) {
            double from = 0;
            // Fewer and fewer: the ends of intervals are 1, 2, 3, 4, 6, 8, 12, 16, ... steps away.
            for (double to = 1, half = 1; from < FARTHEST; to += half) {
                double count = live.liveAfter((from + to) / 2);
                if (count < LEAST_LIVE) {
                    break;
                }
                add((int) Math.max(1, Math.round(count)), (to - from) * Math.min(1, count));
                waiting -= count * (to - from);
                from = to;
                half = 2 * half <= to / 2 ? 2 * half : half;
            }
        }
        // As long as others wait, as many are live as now; so they are where nothing is known of each.
        add(batch, Math.max(0, waiting) / batch);
    }

    private void add(int batch, double count) {
        int c = sizeClass(batch);
        steps[c] += count;
        batches[c] = Math.max(batches[c], batch);
    }

    /** Batches are told apart by half octaves: 1, 2, 3, 4, 5 to 6, 7 to 9, 10 to 13 and so on. */
    private static int sizeClass(int batch) {
        return (int) Math.round(2 * Math.log(batch) / Math.log(2));
    }
}

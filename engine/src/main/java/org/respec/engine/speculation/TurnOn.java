package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;

/**
 * Whether leaving off pays before the rollout ends. A plan saves the more of a step's time the fewer requests are left, so that what is
 * still to be drawn is parted by how many will be live then: requests end in the order of what is expected to be left of each. What is
 * saved must make up for the price, the drafter's extension over all that it missed; and by waiting until fewer are live, whose extension
 * is cheaper, no more may be won.
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
    private static final int CLASSES = 2 * StepCorrections.SIZES;

    /** By class of batch: what share of off's time the best plan was last seen to save, at least 0; NaN where that is not known. */
    private final double[] shares = new double[CLASSES];
    /** By class of batch, for the rest of a rollout: steps that off would take, and the most requests that are live in them. */
    private final double[] steps = new double[CLASSES];
    private final int[] batches = new int[CLASSES];
    private final IntToDoubleFunction offSeconds;
    private final Price price;
    private LiveBatch live;
    private double[] left = new double[0];

    /** @param offSeconds of a step of off, by live requests */
    TurnOn(IntToDoubleFunction offSeconds, Price price) {
        this.offSeconds = offSeconds;
        this.price = price;
        forget();
    }

    /** Says where it stands, from now on, what is left of each live request. */
    void attach(LiveBatch batch) {
        live = batch;
        left = new double[batch.most()];
    }

    /** Steps no longer take what they took. */
    void forget() {
        Arrays.fill(shares, Double.NaN);
    }

    /** For so many requests the best plan saves such a share of the time that off takes for as many tokens; under 0 if it takes longer. */
    void note(int batch, double share) {
        shares[sizeClass(batch)] = Math.max(0, share);
    }

    /**
     * Whether turning on {@code plan} now pays.
     *
     * @param batch live requests, of which {@link #note} has been told
     * @param missedRows decided tokens that the drafter has not been extended over
     * @param remainingTokens tokens that are expected to be drawn until the rollout's end
     */
    boolean pays(int batch, int missedRows, double remainingTokens, int plan) {
        part(batch, remainingTokens);
        int present = sizeClass(batch);
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
            saved += steps[c] * offSeconds.applyAsDouble(batches[c]) * (Double.isNaN(shares[c]) ? shares[present] : shares[c]);
            wait -= steps[c];
            if (c < present) {
                double missed = batches[c] * ((double) missedRows / batch + wait);
                bestLater = Math.max(bestLater, saved - price.seconds(batches[c], (int) Math.min(missed, Integer.MAX_VALUE), plan));
            }
        }
        double now = price.seconds(batch, missedRows, plan);
        return saved >= WORTH * now && saved - now >= bestLater;
    }

    /** Parts what is left by how many requests will be live. */
    private void part(int batch, double remainingTokens) {
        Arrays.fill(steps, 0);
        Arrays.fill(batches, 0);
        double waiting = remainingTokens;
        if (live != null && live.size() == batch) {
            for (int r = 0; r < batch; r++) {
                left[r] = live.remaining(r);
                waiting -= left[r];
            }
            Arrays.sort(left, 0, batch);
            double passed = 0;
            for (int r = 0; r < batch; r++) {
                add(batch - r, left[r] - passed);
                passed = left[r];
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

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TurnOnTest {
    private static final int PLAN = 7;
    /** What turning on costs for each row that was missed. */
    private double each;
    private int mostLive;
    /** What share is saved where nothing was noted. */
    private double presumed;
    /** A step of off takes a second for each live request. */
    private final TurnOn turnOn = new TurnOn(live -> {
        mostLive = Math.max(mostLive, live);
        return live;
    }, live -> presumed, (live, rows, plan) -> plan == PLAN ? each * rows : Double.NaN);

    private boolean pays(int batch, int missed, double remaining, double price) {
        each = price;
        return turnOn.pays(batch, missed, remaining, PLAN);
    }

    /** Four requests with 1, 1, 1 and {@code longest} tokens left. */
    private void fourLive(double longest) {
        fourLive(1, longest);
    }

    private void fourLive(double shortest, double longest) {
        LiveBatch batch = new LiveBatch(4, (drawn, ahead, left) -> left > ahead ? 1 : 0);
        for (int r = 0; r < 4; r++) {
            double left = r == 2 ? longest : shortest;
            batch.add(r, r, 5, left, left);
        }
        turnOn.attach(batch);
    }

    @Test
    void whatIsSavedMustMakeUpForThePrice() {
        turnOn.note(4, 0.5, true);
        // 40 tokens are ten steps of four seconds, of which half is saved: 20 seconds.
        assertTrue(pays(4, 15, 40, 1));
        assertFalse(pays(4, 17, 40, 1), "a quarter more than the price is asked for");
        turnOn.note(4, -0.5, true);
        assertFalse(pays(4, 1, 40, 1), "where off is faster nothing is saved");
    }

    /** One step of four and seven of one: 4 + 7 seconds of off. */
    @Test
    void tokensArePartedByHowManyWillBeLive() {
        fourLive(8);
        turnOn.note(1, 0.8, true);
        turnOn.note(4, 0.1, true);
        double saved = 0.1 * 4 + 0.8 * 7;
        // Later one request alone would have missed a quarter of what all have missed by now, and a token more.
        double even = (saved - 0.8 * 7) / (8 - (8 / 4 + 1));
        assertTrue(pays(4, 8, 11, 0.99 * even), "at once is better than later");
        assertFalse(pays(4, 8, 11, 1.01 * even), "later is better");
        turnOn.note(4, 0, true);
        assertFalse(pays(4, 8, 11, even / 100), "nothing is saved before later");
    }

    @Test
    void whatWasNotNotedOfSmallerBatchesIsAskedForOnce() {
        fourLive(8);
        turnOn.note(4, 0.5, true);
        presumed = 0.5;
        assertTrue(pays(4, 4, 11, 0.5));
        presumed = -1;
        assertTrue(pays(4, 4, 11, 0.5), "asked for once");
        turnOn.forget();
        turnOn.note(4, 0, true);
        assertFalse(pays(4, 4, 11, 1e-3));
    }

    private boolean leaves(int missed, double remaining, double price) {
        each = price;
        return turnOn.leavingPays(4, missed, remaining, PLAN);
    }

    /** Four steps of four, then eight of one: off saves 0.1 of 16 seconds, and then the plan 0.5 of 8. */
    @Test
    void offMustMakeUpForTurningOnAgain() {
        fourLive(4, 12);
        turnOn.note(1, 0.5, true);
        turnOn.note(4, -0.1, true);
        // Turning on later, one request has missed four tokens.
        assertTrue(leaves(0, 24, 1.5 / 4), "off wins 1.6 s, and turning on takes 1.5");
        assertFalse(leaves(0, 24, 1.7 / 4), "turning on takes more, and without it 4 s are lost");
        turnOn.note(1, 0.17, true);
        turnOn.note(4, -0.1, true);
        assertTrue(leaves(0, 24, 10), "off is better in all");
        turnOn.note(1, 0, true);
        turnOn.note(4, 0.01, true);
        assertFalse(leaves(0, 24, 0), "off wins nothing");
        turnOn.note(1, -9, false);
        turnOn.note(4, 0.01, true);
        assertFalse(leaves(0, 24, 0), "of a rollout's last steps nothing is kept");
        assertTrue(leaves(8, 24, 1), "all have missed two tokens, of which later one request has to be extended over its own");
    }

    /** Tokens beyond those of the live requests wait, and are drawn by as many as are live now. */
    @Test
    void waitingRequestsKeepTheBatchFull() {
        fourLive(1);
        turnOn.note(4, 0.5, true);
        // 101 steps of four seconds save 202; four rows were missed.
        assertFalse(pays(4, 4, 4 + 400, 202 / 1.2 / 4));
        assertTrue(pays(4, 4, 4 + 400, 202 / 1.3 / 4));
        assertEquals(4, mostLive);
    }
}

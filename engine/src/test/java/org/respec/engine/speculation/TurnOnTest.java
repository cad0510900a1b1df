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
    /** A step of off takes a second for each live request. */
    private final TurnOn turnOn = new TurnOn(live -> {
        mostLive = Math.max(mostLive, live);
        return live;
    }, (live, rows, plan) -> plan == PLAN ? each * rows : Double.NaN);

    private boolean pays(int batch, int missed, double remaining, double price) {
        each = price;
        return turnOn.pays(batch, missed, remaining, PLAN);
    }

    /** Four requests with 1, 1, 1 and {@code longest} tokens left. */
    private void fourLive(double longest) {
        LiveBatch batch = new LiveBatch(4);
        for (int r = 0; r < 4; r++) {
            batch.add(r, r, r == 2 ? longest : 1);
        }
        turnOn.attach(batch);
    }

    @Test
    void whatIsSavedMustMakeUpForThePrice() {
        turnOn.note(4, 0.5);
        // 40 tokens are ten steps of four seconds, of which half is saved: 20 seconds.
        assertTrue(pays(4, 15, 40, 1));
        assertFalse(pays(4, 17, 40, 1), "a quarter more than the price is asked for");
        turnOn.note(4, -0.5);
        assertFalse(pays(4, 1, 40, 1), "where off is faster nothing is saved");
    }

    /** One step of four and nine of one: 4 + 9 seconds of off. */
    @Test
    void tokensArePartedByHowManyWillBeLive() {
        fourLive(10);
        turnOn.note(1, 0.8);
        turnOn.note(4, 0.1);
        double saved = 0.1 * 4 + 0.8 * 9;
        // Later one request alone would have missed a quarter of what all have missed by now, and a token more.
        double even = (saved - 0.8 * 9) / (8 - (8 / 4 + 1));
        assertTrue(pays(4, 8, 13, 0.99 * even), "at once is better than later");
        assertFalse(pays(4, 8, 13, 1.01 * even), "later is better");
        turnOn.note(4, 0);
        assertFalse(pays(4, 8, 13, even / 100), "nothing is saved before later");
    }

    @Test
    void whatIsNotKnownOfSmallerBatchesIsTakenFromThePresentOne() {
        fourLive(10);
        turnOn.note(4, 0.5);
        assertTrue(pays(4, 4, 13, 0.5));
        turnOn.forget();
        turnOn.note(4, 0);
        assertFalse(pays(4, 4, 13, 1e-3));
    }

    /** Tokens beyond those of the live requests wait, and are drawn by as many as are live now. */
    @Test
    void waitingRequestsKeepTheBatchFull() {
        fourLive(1);
        turnOn.note(4, 0.5);
        // 101 steps of four seconds save 202; four rows were missed.
        assertFalse(pays(4, 4, 4 + 400, 202 / 1.2 / 4));
        assertTrue(pays(4, 4, 4 + 400, 202 / 1.3 / 4));
        assertEquals(4, mostLive);
    }
}

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TurnOnTest {
    /** A step of off takes a second for each live request. */
    private static boolean pays(TurnOn turnOn, int batch, int missed, double remaining, double each) {
        return turnOn.pays(batch, missed, remaining, live -> live, (live, rows) -> each * rows);
    }

    /** Four requests with 1, 1, 1 and {@code longest} tokens left. */
    private static TurnOn fourLive(double longest) {
        LiveBatch batch = new LiveBatch(4);
        for (int r = 0; r < 4; r++) {
            batch.add(r, r, r == 2 ? longest : 1);
        }
        TurnOn turnOn = new TurnOn();
        turnOn.attach(batch);
        return turnOn;
    }

    @Test
    void whatIsSavedMustMakeUpForThePrice() {
        TurnOn turnOn = new TurnOn();
        turnOn.note(4, 0.5);
        // 40 tokens are ten steps of four seconds, of which half is saved: 20 seconds.
        assertTrue(pays(turnOn, 4, 15, 40, 1));
        assertFalse(pays(turnOn, 4, 17, 40, 1), "a quarter more than the price is asked for");
        turnOn.note(4, -0.5);
        assertFalse(pays(turnOn, 4, 1, 40, 1), "where off is faster nothing is saved");
    }

    /** One step of four and nine of one: 4 + 9 seconds of off. */
    @Test
    void tokensArePartedByHowManyWillBeLive() {
        TurnOn turnOn = fourLive(10);
        turnOn.note(1, 0.8);
        turnOn.note(4, 0.1);
        double saved = 0.1 * 4 + 0.8 * 9;
        // Later one request alone would have missed a quarter of what all have missed by now, and a token more.
        double each = (saved - 0.8 * 9) / (8 - (8 / 4 + 1));
        assertTrue(pays(turnOn, 4, 8, 13, 0.99 * each), "at once is better than later");
        assertFalse(pays(turnOn, 4, 8, 13, 1.01 * each), "later is better");
        turnOn.note(4, 0);
        assertFalse(pays(turnOn, 4, 8, 13, 1e-9 + each / 100), "nothing is saved before later");
    }

    @Test
    void whatIsNotKnownOfSmallerBatchesIsTakenFromThePresentOne() {
        TurnOn turnOn = fourLive(10);
        turnOn.note(4, 0.5);
        assertTrue(pays(turnOn, 4, 4, 13, 0.5));
        turnOn.forget();
        turnOn.note(4, 0);
        assertFalse(pays(turnOn, 4, 4, 13, 1e-3));
    }

    /** Tokens beyond those of the live requests wait, and are drawn by as many as are live now. */
    @Test
    void waitingRequestsKeepTheBatchFull() {
        TurnOn turnOn = fourLive(1);
        turnOn.note(4, 0.5);
        double[] most = new double[1];
        boolean pays = turnOn.pays(4, 4, 4 + 400, live -> {
            most[0] = Math.max(most[0], live);
            return live;
        }, (live, rows) -> 1);
        assertTrue(pays);
        assertEquals(4, most[0]);
        // 101 steps of four seconds save 202.
        assertFalse(turnOn.pays(4, 4, 4 + 400, live -> live, (live, rows) -> 202 / 1.2));
        assertTrue(turnOn.pays(4, 4, 4 + 400, live -> live, (live, rows) -> 202 / 1.3));
    }
}

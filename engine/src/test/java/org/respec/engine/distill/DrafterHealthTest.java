package org.respec.engine.distill;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.respec.engine.distill.DrafterHealth.Source;

/** When drafting is judged, and where it goes from there. */
class DrafterHealthTest {
    private static void steps(DrafterHealth health, int count, int requests, int tokens) {
        for (int i = 0; i < count; i++) {
            health.observe(requests, tokens);
        }
    }

    @Test
    void onlyAWholeWindowOfLowGainIsAnAilment() {
        DrafterHealth health = new DrafterHealth(10, true);
        steps(health, 9, 10, 10);
        assertFalse(health.ailing());
        // The window's mean counts: 1.09 is too little, 1.1 is not.
        health.observe(10, 20);
        assertFalse(health.ailing());
        steps(health, 9, 10, 10);
        health.observe(10, 19);
        assertTrue(health.ailing());
        assertFalse(health.drafts());
    }

    @Test
    void downFromCurrentOverPreviousAndNgramsToNothing() {
        DrafterHealth health = new DrafterHealth(5, true);
        steps(health, 5, 2, 2);
        assertEquals("drafter version 7 gained 1.00 tokens a step over 5 steps, under 1.1: version 6 drafts again.", health.stepDown(7, 6));
        assertEquals(Source.PREVIOUS, health.source());
        assertTrue(health.drafts());
        steps(health, 5, 2, 2);
        assertTrue(health.stepDown(7, 6).endsWith("n-grams draft instead."));
        assertEquals(Source.NGRAM, health.source());
        steps(health, 5, 2, 2);
        assertTrue(health.stepDown(7, -1).startsWith("drafting from n-grams gained 1.00"));
        assertEquals(Source.OFF, health.source());
        assertFalse(health.drafts());
        steps(health, 50, 2, 2);
        assertFalse(health.ailing(), "off cannot ail");
    }

    @Test
    void withoutPreviousOrNgramsItIsOff() {
        DrafterHealth health = new DrafterHealth(1, false);
        health.observe(1, 1);
        health.stepDown(0, -1);
        assertEquals(Source.OFF, health.source());
    }

    @Test
    void aNewVersionIsTriedAndEachFailureInARowDoublesTheWait() {
        DrafterHealth health = new DrafterHealth(1, false);
        int[] wanted = {0, 1, 3, 7, 15, 31, 63, 63};
        for (int wait : wanted) {
            health.observe(1, 1);
            health.stepDown(0, -1);
            int passed = 0;
            while (!health.admits()) {
                passed++;
            }
            assertEquals(wait, passed);
            assertEquals(Source.CURRENT, health.source());
        }
        health.observe(1, 2);
        health.observe(1, 1);
        health.stepDown(0, -1);
        assertTrue(health.admits(), "a good window starts anew");
    }

    @Test
    void theSourceInUseIsJudgedBeforeANewVersionTakesItsPlace() {
        DrafterHealth health = new DrafterHealth(4, false);
        steps(health, 4, 1, 1);
        health.stepDown(3, 2);
        assertFalse(health.admits());
        steps(health, 4, 1, 3);
        assertTrue(health.admits());
        assertEquals(Source.CURRENT, health.source());
    }

    @Test
    void aCheckpointKeepsAllOfIt() {
        DrafterHealth health = new DrafterHealth(4, false);
        steps(health, 4, 1, 1);
        health.stepDown(3, 2);
        steps(health, 3, 2, 5);
        DrafterHealth restored = new DrafterHealth(4, false);
        restored.restore(health.toJson());
        assertEquals(health.toJson(), restored.toJson());
        restored.observe(2, 5);
        assertTrue(restored.admits());
    }
}

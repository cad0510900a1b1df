package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ResponseLengthsTest {
    private static int[] prompt(SplittableRandom random, int tokens) {
        return random.ints(tokens, 0, 1000).toArray();
    }

    @Test
    void nothingKnownIsTheLimitForAll() {
        ResponseLengths lengths = new ResponseLengths(40, 500);
        assertEquals(500, lengths.expected(new int[] {1, 2}));
        assertEquals(1, lengths.scale(new int[] {1, 2}));
        assertEquals(1, lengths.scale(new int[] {7}));
    }

    /** Prompts that were met go by their own responses, others by those of about as many tokens, which here are the same ten times. */
    @Test
    void promptsGoByTheirOwnResponsesThenByPromptsAlike() {
        SplittableRandom random = new SplittableRandom(3);
        ResponseLengths lengths = new ResponseLengths(40, 500);
        int[][] met = new int[40][];
        for (int i = 0; i < met.length; i++) {
            met[i] = prompt(random, 1 + i);
        }
        for (int round = 0; round < 60; round++) {
            for (int i = 0; i < met.length; i++) {
                lengths.observe(met[i], 10 * (1 + i) + random.nextInt(-5, 6), 1);
            }
        }
        for (int i = 0; i < met.length; i++) {
            assertEquals(10 * (1 + i), lengths.expected(met[i]), 5, "a prompt of " + (1 + i) + " tokens that was met");
            assertEquals(10 * (1 + i), lengths.expected(prompt(random, 1 + i)), 35, "one that was not");
        }
        assertTrue(lengths.scale(met[39]) > 1.8 && lengths.scale(met[0]) == 0.125, "400 and 10 tokens where the mean is about 205");
        // What changes is followed.
        for (int round = 0; round < 100; round++) {
            lengths.observe(met[0], 400, 1);
        }
        assertEquals(400, lengths.expected(met[0]), 40);
    }

    /** Two of three responses have 20 tokens and one has 90: after 20 tokens, only the long one is left. */
    @Test
    void whatRemainsDependsOnWhatWasDrawn() {
        ResponseLengths lengths = new ResponseLengths(40, 128);
        assertTrue(Double.isNaN(lengths.remaining(0, 1)), "nothing is known");
        int[] prompt = {1, 2};
        for (int i = 0; i < 300; i++) {
            lengths.observe(prompt, i % 3 == 0 ? 90 : 20, 1);
        }
        lengths.refresh();
        assertEquals((90 + 20 + 20) / 3.0, lengths.remaining(0, 1), 2);
        assertEquals(90 - 30, lengths.remaining(30, 1), 2);
        assertEquals(90 - 60, lengths.remaining(60, 1), 2);
        assertEquals(1, lengths.remaining(120, 1), 1, "longer than any so far");
        assertEquals((90 - 30) / 2.0, lengths.remaining(15, 0.5), 1, "a prompt whose responses are half as long");
        assertEquals(8, lengths.remaining(120, 2), 0, "never more than the limit leaves");
    }

    /** Chances to go on that agree with what is expected to remain: their sum over all steps to come is that. */
    @Test
    void chancesToGoOnAddUpToWhatRemains() {
        ResponseLengths lengths = new ResponseLengths(40, 128);
        assertTrue(Double.isNaN(lengths.share(0, 1, 1)), "nothing is known");
        SplittableRandom random = new SplittableRandom(11);
        for (int i = 0; i < 3000; i++) {
            lengths.observe(new int[] {1, 2}, random.nextInt(4) == 0 ? 90 : random.nextInt(5, 60), 1);
        }
        lengths.refresh();
        for (double scale : new double[] {1, 0.5}) {
            for (int drawn : new int[] {0, 7, 20, 42}) {
                double sum = 0;
                double before = 1;
                for (double ahead = 0.25; drawn + ahead < 128; ahead += 0.5) {
                    double share = lengths.share(drawn, ahead, scale);
                    assertTrue(share >= 0 && share <= before, "no more go on for longer");
                    before = share;
                    sum += 0.5 * share;
                }
                assertEquals(lengths.remaining(drawn, scale), sum, 1, drawn + " drawn, scale " + scale);
            }
        }
        assertEquals(1, lengths.share(0, 4, 1), 0.01, "none had under five tokens");
        assertEquals(0.25, lengths.share(0, 75, 1), 0.03);
        assertEquals(1, lengths.share(61, 20, 1), 1e-9, "who has over 60 tokens has 90");
        assertEquals(0, lengths.share(100, 28, 1), "the limit");
        assertTrue(lengths.share(100, 1, 1) < 0.5, "longer than any so far");
    }
}

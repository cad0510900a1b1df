package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ContendersTest {
    private static final double[] SCORES = {10, 100, 79, 81, 0, 95};

    private static void scoreAll(Contenders contenders, int size, double[] scores) {
        for (int plan = 0; plan < scores.length; plan++) {
            contenders.note(plan, scores[plan]);
        }
        contenders.end(size);
    }

    private static int[] plans(Contenders contenders, int size) {
        return IntStream.range(0, contenders.count(size)).map(i -> contenders.plan(size, i)).toArray();
    }

    @Test
    void offAndThoseNearTheBestAreLeft() {
        Contenders contenders = new Contenders(SCORES.length);
        assertTrue(contenders.all(3));
        scoreAll(contenders, 3, SCORES);
        assertEquals("0 1 3 5", IntStream.of(plans(contenders, 3)).mapToObj(Integer::toString).reduce((a, b) -> a + " " + b).orElse(""));
        // What was best in another decision counts no more.
        contenders.all(3);
        scoreAll(contenders, 3, new double[] {1, 0, 0, 0, 2, 0});
        assertEquals(2, contenders.count(3));
        assertEquals(4, contenders.plan(3, 1));
    }

    @Test
    void allAreScoredAtFirstAndNowAndThenForEachSize() {
        Contenders contenders = new Contenders(SCORES.length);
        int all = 0;
        for (int decision = 0; decision < 16; decision++) {
            assertTrue(contenders.all(2), "decision " + decision);
            scoreAll(contenders, 2, SCORES);
        }
        for (int decision = 16; decision < 96; decision++) {
            if (contenders.all(2)) {
                scoreAll(contenders, 2, SCORES);
                all++;
            }
        }
        assertEquals(10, all);
        assertFalse(contenders.all(2) && contenders.all(2), "two in a row");
        assertTrue(contenders.all(5), "another size knows nothing yet");
        contenders.expire();
        assertTrue(contenders.all(2), "scores are no longer what they were");
        assertFalse(contenders.all(2), "but once all were scored again they are known");
        contenders.forget();
        assertTrue(contenders.all(2) && contenders.all(2), "nothing is known any more");
    }
}

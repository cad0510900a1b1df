package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class LoadPairTest {
    private static final int BEGIN = 100;
    private static final int END = 200;
    private static final int ALL = 300;

    /** Depth 4, from step {@code fall} on 1, from step {@code rise} on 4 again; steps of 2 ms that gain 3 tokens. */
    private static LoadPair pair(int fall, int rise) {
        int[] depths = IntStream.range(0, ALL).map(step -> step >= fall && step < rise ? 1 : 4).toArray();
        int[] tokens = new int[ALL];
        Arrays.fill(tokens, 3);
        double[] shares = IntStream.range(0, ALL).mapToDouble(step -> step < BEGIN / 2 ? 1 : step < BEGIN ? 0.1 : 0.6).toArray();
        return new LoadPair(depths, LongStream.range(0, ALL).map(step -> 2_000_000 * step).toArray(), tokens, shares, BEGIN, END);
    }

    @Test
    void meansAreOfSecondHalves() {
        LoadPair pair = pair(130, 230);
        assertEquals(4, pair.before());
        assertEquals(1, pair.during());
        assertEquals(4, pair.after());
        assertEquals(0.1, pair.shareBefore(), 1e-9);
        assertEquals(0.6, pair.shareDuring(), 1e-9);
        assertEquals(1500, pair.tokensPerSecond(0, BEGIN), 1e-9);
    }

    /** Half of the way is 2.5: there, 8 of the last 16 steps are of the new depth. */
    @Test
    void stepsCountUntilHalfOfTheWay() {
        LoadPair pair = pair(130, 230);
        assertEquals(38, pair.stepsToFall());
        assertEquals(38, pair.stepsToRise());
        assertEquals(76, pair.milliseconds(pair.begin(), 38), 1e-9);
        LoadPair atOnce = pair(BEGIN, END);
        assertEquals(8, atOnce.stepsToFall());
        assertEquals(8, atOnce.stepsToRise());
    }

    @Test
    void whatDoesNotMoveOrMovesTheOtherWayIsNeverThere() {
        assertEquals(Double.POSITIVE_INFINITY, pair(ALL, ALL).stepsToFall());
        assertEquals(Double.POSITIVE_INFINITY, pair(ALL, ALL).stepsToRise());
        assertEquals(Double.POSITIVE_INFINITY, pair(0, 110).stepsToFall());
        assertEquals(Double.POSITIVE_INFINITY, pair(120, ALL).stepsToRise());
        assertEquals(Double.POSITIVE_INFINITY, pair(120, ALL).milliseconds(END, Double.POSITIVE_INFINITY));
    }

    @Test
    void aPartOfALongerRecord() {
        LoadPair whole = pair(130, 230);
        LoadPair part = whole.part(50, 280);
        assertEquals(50, part.begin());
        assertEquals(230, part.depths().length);
        assertEquals(whole.stepsToFall(), part.stepsToFall());
        assertThrows(IllegalArgumentException.class, () -> whole.part(95, 280));
    }
}

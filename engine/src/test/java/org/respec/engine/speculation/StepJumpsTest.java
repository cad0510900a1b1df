package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class StepJumpsTest {
    private static final SpeculationPlan DEEP = SpeculationPlan.parse("3x1x3");
    private final StepJumps jumps = new StepJumps();

    @Test
    void aLoadShowsInTheThirdStepThoughItSparesSome() {
        for (int i = 0; i < 50; i++) {
            assertFalse(jumps.longer(DEEP, 4, 600_000 + 1000 * (i % 7)));
        }
        assertFalse(jumps.longer(DEEP, 4, 900_000));
        assertFalse(jumps.longer(DEEP, 4, 900_000));
        assertTrue(jumps.longer(DEEP, 4, 900_000));
        assertFalse(jumps.longer(DEEP, 4, 600_000));
        assertFalse(jumps.longer(SpeculationPlan.OFF, 4, 600_000), "nothing is known of this plan yet");
        assertTrue(jumps.longer(DEEP, 4, 5_000_000), "what is usual is not what a load makes of it");
        for (int i = 0; i < 500; i++) {
            jumps.longer(DEEP, 4, 800_000);
        }
        assertFalse(jumps.longer(DEEP, 4, 900_000), "steps that stay longer become usual");
    }

    @Test
    void interruptedStepsAndOtherPlansAreNoLoad() {
        for (int i = 0; i < 300; i++) {
            assertFalse(jumps.longer(DEEP, 4, i % 3 == 1 ? 5_000_000 : 600_000));
            assertFalse(jumps.longer(SpeculationPlan.OFF, 4, 1_200_000));
            assertFalse(jumps.longer(DEEP, 1, 200_000));
        }
    }

    /** Steps after the first long one until they count as longer, of which every fourth is spared. */
    private int stepsUntilLonger(long usual) {
        for (int i = 0; i < 50; i++) {
            jumps.longer(DEEP, 4, usual);
        }
        return longStepsUntilLonger(usual);
    }

    private int longStepsUntilLonger(long usual) {
        int steps = 0;
        while (steps < 100 && !jumps.longer(DEEP, 4, steps % 4 == 1 ? usual : 2 * usual)) {
            steps++;
        }
        return steps;
    }

    @Test
    void falseAlarmsMakeItSlowToBelieveButNotDeaf() {
        int first = stepsUntilLonger(600_000);
        jumps.mistaken();
        int second = stepsUntilLonger(600_000);
        assertTrue(second > first, first + " steps, then " + second);
        for (int i = 0; i < 10; i++) {
            jumps.mistaken();
        }
        int last = stepsUntilLonger(600_000);
        assertTrue(last >= second && last < 50, first + ", " + second + ", " + last + " steps");
        jumps.mistaken();
        assertTrue(longStepsUntilLonger(600_000) < 50, "a load that came with a false alarm is seen all the same");
        jumps.right();
        for (int i = 0; i < 50; i++) {
            jumps.longer(DEEP, 4, 600_000);
        }
        assertEquals(first, stepsUntilLonger(600_000));
    }
}

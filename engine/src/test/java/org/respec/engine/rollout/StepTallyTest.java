package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.respec.engine.speculation.SpeculationPlan;

class StepTallyTest {
    private static final SpeculationPlan DEEP = SpeculationPlan.parse("4x2x8");

    @Test
    void groupsByPowersOfTwoAndPlan() {
        StepTally tally = new StepTally();
        for (int live = 1; live <= 9; live++) {
            tally.add(live > 4 ? SpeculationPlan.OFF : DEEP, live, 2 * live, 600_000L * live, 400_000L * live);
        }
        tally.add(DEEP, 8, 11, 0, 5);
        tally.add(DEEP, 4096, 4096, 3, 4);
        assertEquals(List.of(new StepGroup(1, "4x2x8", 1, 1, 2, 1_000_000 * 1e-9), new StepGroup(2, "4x2x8", 1, 2, 4, 2_000_000 * 1e-9),
            new StepGroup(4, "4x2x8", 2, 7, 14, 7_000_000 * 1e-9), new StepGroup(8, "4x2x8", 1, 8, 11, 5 * 1e-9),
            new StepGroup(8, "off", 4, 26, 52, 26_000_000 * 1e-9), new StepGroup(16, "off", 1, 9, 18, 9_000_000 * 1e-9),
            new StepGroup(4096, "4x2x8", 1, 4096, 4096, 7 * 1e-9)), tally.stats(1).groups().stream().map(StepTallyTest::rounded).toList());
        RolloutStats stats = tally.stats(2);
        assertEquals(Map.of("4x2x8", 6L, "off", 5L), stats.plans());
        assertEquals(11, stats.steps());
        assertEquals(2 * 45 + 11 + 4096, stats.tokens());
        assertEquals(2 * 10 + 11 + 4096, stats.speculativeTokens());
        assertEquals(10 + 8 + 4096, stats.speculativeRequestSteps());
        assertEquals(45 * 6e-4 + 3e-9, stats.draftSeconds(), 1e-12);
        assertEquals(45 * 4e-4 + 9e-9, stats.verifySeconds(), 1e-12);
        assertEquals(2, stats.seconds());
    }

    private static StepGroup rounded(StepGroup g) {
        return new StepGroup(g.live(), g.plan(), g.steps(), g.requestSteps(), g.tokens(), Math.round(g.seconds() * 1e9) * 1e-9);
    }

    @Test
    void clearedItCountsAnew() {
        StepTally tally = new StepTally();
        tally.add(DEEP, 3, 5, 10, 1);
        tally.addPreemption();
        assertEquals(1, tally.stats(1).preemptions());
        tally.clear();
        assertEquals(new RolloutStats(0, 1, 0, 0, 0, 0, Map.of(), 0, 0, List.of()), tally.stats(1));
        tally.add(DEEP, 1, 1, 10, 1);
        assertEquals(Map.of("4x2x8", 1L), tally.stats(1).plans());
    }

    @Test
    void addingAllocatesNothing() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        StepTally tally = new StepTally();
        tally.add(DEEP, 1, 1, 1, 1);
        tally.add(SpeculationPlan.OFF, 1, 1, 1, 1);
        long allocated = 1;
        for (int round = 0; round < 20 && allocated > 0; round++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 10_000; i++) {
                tally.add((i & 4) == 0 ? DEEP : SpeculationPlan.OFF, 1 + i % 64, 3, 50, 50);
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertEquals(0, allocated);
    }
}

package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.respec.engine.speculation.SpeculationPlan;

/** Sums up a rollout's steps by plan and live requests. Adding a step is some array additions; a plan's first step allocates its row. */
final class StepTally {
    private static final int BUCKETS = 32;
    private static final int STEPS = 0;
    private static final int REQUEST_STEPS = 1;
    private static final int TOKENS = 2;
    private static final int NANOS = 3;
    private static final int FIELDS = 4;

    private final Map<SpeculationPlan, long[]> rows = new HashMap<>();
    private SpeculationPlan lastPlan;
    private long[] lastRow;

    void clear() {
        rows.values().forEach(row -> Arrays.fill(row, 0));
    }

    void add(SpeculationPlan plan, int live, int tokens, long nanos) {
        if (plan != lastPlan) {
            lastPlan = plan;
            lastRow = rows.computeIfAbsent(plan, p -> new long[BUCKETS * FIELDS]);
        }
        int at = bucket(live) * FIELDS;
        lastRow[at + STEPS]++;
        lastRow[at + REQUEST_STEPS] += live;
        lastRow[at + TOKENS] += tokens;
        lastRow[at + NANOS] += nanos;
    }

    /** Number of the group that {@code live} requests belong to: 1; 2; 3 and 4; 5 to 8; and so on. */
    private static int bucket(int live) {
        return Integer.SIZE - Integer.numberOfLeadingZeros(live - 1);
    }

    /** The groups that had steps, by live requests, then plan. */
    List<StepGroup> groups() {
        List<StepGroup> groups = new ArrayList<>();
        rows.forEach((plan, row) -> {
            for (int b = 0; b < BUCKETS; b++) {
                int at = b * FIELDS;
                if (row[at + STEPS] > 0) {
                    groups.add(new StepGroup(1 << b, plan.toString(), row[at + STEPS], row[at + REQUEST_STEPS], row[at + TOKENS],
                        row[at + NANOS] * 1e-9));
                }
            }
        });
        groups.sort(Comparator.comparingInt(StepGroup::live).thenComparing(StepGroup::plan));
        return groups;
    }

    /** How many steps ran each plan. */
    static Map<String, Long> plans(List<StepGroup> groups) {
        Map<String, Long> plans = new TreeMap<>();
        groups.forEach(group -> plans.merge(group.plan(), group.steps(), Long::sum));
        return plans;
    }
}

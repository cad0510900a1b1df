package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToLongFunction;
import org.respec.engine.speculation.SpeculationPlan;

/** Sums up a rollout's steps, by plan and live requests. Adding a step is some additions; a plan's first step allocates its row. */
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
    private long draftNanos;
    private long verifyNanos;
    private long preemptions;

    void clear() {
        draftNanos = 0;
        verifyNanos = 0;
        preemptions = 0;
        rows.values().forEach(row -> Arrays.fill(row, 0));
    }

    /** A step over {@code live} requests that gained {@code tokens}; its time in drafting and in the rest. */
    void add(SpeculationPlan plan, int live, int tokens, long draft, long verify) {
        draftNanos += draft;
        verifyNanos += verify;
        if (plan != lastPlan) {
            lastPlan = plan;
            lastRow = rows.computeIfAbsent(plan, p -> new long[BUCKETS * FIELDS]);
        }
        int at = bucket(live) * FIELDS;
        lastRow[at + STEPS]++;
        lastRow[at + REQUEST_STEPS] += live;
        lastRow[at + TOKENS] += tokens;
        lastRow[at + NANOS] += draft + verify;
    }

    /** A request gave its pages back. */
    void addPreemption() {
        preemptions++;
    }

    /** Number of the group that {@code live} requests belong to: 1; 2; 3 and 4; 5 to 8; and so on. */
    private static int bucket(int live) {
        return Integer.SIZE - Integer.numberOfLeadingZeros(live - 1);
    }

    /** The groups that had steps, by live requests, then plan. */
    private List<StepGroup> groups() {
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

    /** All of it, as what was done in {@code seconds}. */
    RolloutStats stats(double seconds) {
        List<StepGroup> groups = groups();
        List<StepGroup> speculative = groups.stream().filter(group -> !group.plan().equals(SpeculationPlan.OFF.toString())).toList();
        Map<String, Long> plans = new TreeMap<>();
        groups.forEach(group -> plans.merge(group.plan(), group.steps(), Long::sum));
        return new RolloutStats(sum(groups, StepGroup::tokens), seconds, sum(groups, StepGroup::steps),
            sum(speculative, StepGroup::tokens), sum(speculative, StepGroup::requestSteps), preemptions, plans, draftNanos * 1e-9,
            verifyNanos * 1e-9, groups);
    }

    private static long sum(List<StepGroup> groups, ToLongFunction<StepGroup> what) {
        return groups.stream().mapToLong(what).sum();
    }
}

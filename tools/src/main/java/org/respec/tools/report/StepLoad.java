package org.respec.tools.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.respec.engine.BadInput;
import org.respec.engine.rollout.StepGroup;

/** The steps of a run by iteration, live requests and plan; empty for runs whose metrics do not have them. */
record StepLoad(List<List<StepGroup>> byIteration) {
    private static final Pattern PLAN = Pattern.compile("\\d+x\\d+x(\\d+)");
    private static final int FIELDS = 4;

    static StepLoad of(RunRecord run) {
        List<List<StepGroup>> all = new ArrayList<>();
        for (MetricsLine line : run.lines()) {
            List<StepGroup> groups = new ArrayList<>();
            line.section("steps_by_live").properties().forEach(live -> {
                if (!live.getKey().matches("[1-9]\\d{0,8}") || !live.getValue().isObject()) {
                    throw bad(line, live.getKey());
                }
                live.getValue().properties().forEach(plan ->
                    groups.add(group(line, Integer.parseInt(live.getKey()), plan.getKey(), plan.getValue())));
            });
            all.add(groups);
        }
        return new StepLoad(all);
    }

    private static StepGroup group(MetricsLine line, int live, String plan, JsonNode sums) {
        if (!sums.isArray() || sums.size() < FIELDS) {
            throw bad(line, live + "." + plan);
        }
        for (JsonNode sum : sums) {
            if (!sum.isNumber() || !(sum.doubleValue() >= 0)) {
                throw bad(line, live + "." + plan);
            }
        }
        return new StepGroup(live, plan, sums.get(0).longValue(), sums.get(1).longValue(), sums.get(2).longValue(),
            sums.get(3).doubleValue());
    }

    private static BadInput bad(MetricsLine line, String key) {
        return new BadInput(line.where() + ": steps_by_live." + key
            + " must be, by plan, the steps, request steps, tokens and seconds; was the file edited?");
    }

    boolean isEmpty() {
        return byIteration.stream().allMatch(List::isEmpty);
    }

    List<StepGroup> all() {
        return byIteration.stream().flatMap(List::stream).toList();
    }

    /** Groups of live requests that occur, by their most. */
    List<Integer> lives() {
        TreeSet<Integer> lives = new TreeSet<>();
        all().forEach(group -> lives.add(group.live()));
        return List.copyOf(lives);
    }

    /** The plans that occur, those with most of {@code measure} first. */
    List<String> plans(ToDoubleFunction<StepGroup> measure) {
        Map<String, Double> sums = sums(all(), measure);
        return sums.keySet().stream().sorted((a, b) -> Double.compare(sums.get(b), sums.get(a))).toList();
    }

    static Map<String, Double> sums(List<StepGroup> groups, ToDoubleFunction<StepGroup> measure) {
        Map<String, Double> sums = new TreeMap<>();
        groups.forEach(group -> sums.merge(group.plan(), measure.applyAsDouble(group), Double::sum));
        return sums;
    }

    static double sum(List<StepGroup> groups, ToDoubleFunction<StepGroup> measure) {
        return groups.stream().mapToDouble(measure).sum();
    }

    List<StepGroup> at(int live) {
        return all().stream().filter(group -> group.live() == live).toList();
    }

    /** "1", "2", "3-4", "5-8" and so on. */
    static String name(int live) {
        return live <= 2 ? Integer.toString(live) : live / 2 + 1 + "–" + live;
    }

    /** Draft tokens that a plan verifies for each request; NaN for a plan that is not written as one. */
    static double verified(String plan) {
        if (plan.equals("off")) {
            return 0;
        }
        Matcher matcher = PLAN.matcher(plan);
        return matcher.matches() ? Double.parseDouble(matcher.group(1)) : Double.NaN;
    }
}

package org.respec.tools.report;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.List;
import org.respec.engine.rollout.StepGroup;

/**
 * A run in numbers; NaN, null or 0 where it did not keep one. They come from its summary, or from its metrics while it has not ended.
 *
 * @param ratioToOff measured by turns at the run's end
 * @param tailLive "few" live requests: an eighth of the batch, at least 1
 * @param tailSeconds share of the decode steps' time with few live requests
 * @param tailTokens share of the tokens gained in them
 */
record RunFigures(String name, boolean ended, int iterations, double accuracyBefore, double accuracyAfter, double rewardFirst,
                  double rewardLast, double acceptFirst, double acceptLast, double acceptMean, double tokens, double tokensPerSecond,
                  double ratioToOff, double secondsRollout, double secondsActor, double secondsDrafter, double secondsDrafterExposed,
                  double secondsTotal, double draftSeconds, double verifySeconds, double preemptions, double lengthMean, double lengthMax,
                  int tailLive,
                  double tailSeconds, double tailTokens, String trajectories, String weights, String device) {
    private static final int TAIL_PART = 8;

    static RunFigures of(RunRecord run, StepLoad load) {
        double tokens = or(run.summary("rollout", "tokens"), sum(run.values("tokens")));
        double rollout = or(run.summary("seconds", "rollout"), sum(run.values("seconds", "rollout")));
        double[] accept = run.values("accept_length");
        double[] reward = run.values("reward");
        int batch = run.config().at("/rollout/max_batch").asInt(load.lives().isEmpty() ? 0 : load.lives().getLast());
        int few = Integer.highestOneBit(Math.max(1, batch / TAIL_PART));
        List<StepGroup> tail = load.all().stream().filter(group -> group.live() <= few).toList();
        return new RunFigures(run.name(), run.ended(), run.lines().isEmpty() ? 0 : run.lines().getLast().iteration(),
            run.summary("eval", "accuracy_before"), run.summary("eval", "accuracy_after"),
            or(run.summary("reward", "first"), first(reward)), or(run.summary("reward", "last"), last(reward)),
            or(run.summary("rollout", "accept_length", "first"), first(accept)),
            or(run.summary("rollout", "accept_length", "last"), last(accept)),
            or(run.summary("rollout", "accept_length", "mean"), Arrays.stream(accept).average().orElse(Double.NaN)), tokens,
            tokens / rollout, run.summary("comparison", "ratio_to_off"), rollout,
            or(run.summary("seconds", "actor"), sum(run.values("seconds", "actor"))),
            or(run.summary("seconds", "drafter"), sum(run.values("seconds", "drafter"))), run.summary("seconds", "drafter_exposed"),
            run.summary("seconds", "total"), sum(run.values("seconds", "draft")), sum(run.values("seconds", "verify")),
            sum(run.values("preemptions")),
            Arrays.stream(run.values("response_length", "mean")).average().orElse(Double.NaN),
            Arrays.stream(run.values("response_length", "max")).max().orElse(Double.NaN), few,
            StepLoad.sum(tail, StepGroup::seconds) / StepLoad.sum(load.all(), StepGroup::seconds),
            StepLoad.sum(tail, StepGroup::tokens) / StepLoad.sum(load.all(), StepGroup::tokens),
            run.summary().at("/rollout/trajectory_sha256").textValue(), run.summary().at("/actor/weights_sha256").textValue(),
            run.summary().path("device").textValue());
    }

    private static double or(double value, double otherwise) {
        return Double.isNaN(value) ? otherwise : value;
    }

    /** NaN if no value is there. */
    private static double sum(double[] values) {
        double[] there = Arrays.stream(values).filter(v -> !Double.isNaN(v)).toArray();
        return there.length == 0 ? Double.NaN : Arrays.stream(there).sum();
    }

    private static double first(double[] values) {
        return values.length == 0 ? Double.NaN : values[0];
    }

    private static double last(double[] values) {
        return values.length == 0 ? Double.NaN : values[values.length - 1];
    }

    /** Adds what is there; numbers that are not are left out. */
    void addTo(ObjectNode json) {
        json.put("name", name);
        json.put("ended", ended);
        json.put("iterations", iterations);
        if (device != null) {
            json.put("device", device);
        }
        put(json.putObject("eval"), "accuracy_before", accuracyBefore, "accuracy_after", accuracyAfter);
        put(json.putObject("reward"), "first", rewardFirst, "last", rewardLast);
        ObjectNode rollout = json.putObject("rollout");
        put(rollout, "tokens", tokens, "tokens_per_second", tokensPerSecond, "ratio_to_off", ratioToOff, "preemptions", preemptions);
        put(rollout.putObject("accept_length"), "first", acceptFirst, "last", acceptLast, "mean", acceptMean);
        put(rollout.putObject("response_length"), "mean", lengthMean, "max", lengthMax);
        put(rollout.putObject("tail"), "live_at_most", tailLive, "share_of_seconds", tailSeconds, "share_of_tokens", tailTokens);
        if (trajectories != null) {
            rollout.put("trajectory_sha256", trajectories);
        }
        if (weights != null) {
            json.putObject("actor").put("weights_sha256", weights);
        }
        put(json.putObject("seconds"), "rollout", secondsRollout, "draft", draftSeconds, "verify", verifySeconds, "actor", secondsActor,
            "drafter", secondsDrafter, "drafter_exposed", secondsDrafterExposed, "total", secondsTotal);
    }

    private static void put(ObjectNode json, Object... pairs) {
        for (int i = 0; i < pairs.length; i += 2) {
            double value = ((Number) pairs[i + 1]).doubleValue();
            if (Double.isFinite(value)) {
                if (value == Math.rint(value) && Math.abs(value) < 1e15) {
                    json.put((String) pairs[i], (long) value);
                } else {
                    json.put((String) pairs[i], value);
                }
            }
        }
    }
}

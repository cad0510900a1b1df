package org.respec.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.respec.engine.rollout.RolloutStats;

/** What a run has come to so far, apart from tensors: part of every checkpoint. */
final class RunState {
    final TrajectoryDigest digest = new TrajectoryDigest();
    final TreeMap<String, Long> plans = new TreeMap<>();
    int iteration;
    int actorSteps;
    /** Of the actor's optimizer, for gradients that were not finite. */
    long skippedSteps;
    double accuracyBefore;
    double rewardFirst;
    double rewardLast;
    long tokens;
    double acceptFirst;
    double acceptLast;
    double acceptSum;
    double secondsRollout;
    double secondsActor;
    double secondsDrafter;
    double secondsDrafterExposed;
    double secondsTotal;
    /** What went wrong with learning, one sentence each. */
    final List<String> alarms = new ArrayList<>();

    /** Adds one iteration, before {@link #iteration} is raised. */
    void add(RolloutStats stats, double reward, double actorSeconds) {
        if (iteration == 0) {
            rewardFirst = reward;
            acceptFirst = stats.acceptLength();
        }
        rewardLast = reward;
        acceptLast = stats.acceptLength();
        acceptSum += stats.acceptLength();
        tokens += stats.tokens();
        secondsRollout += stats.seconds();
        secondsActor += actorSeconds;
        stats.plans().forEach((plan, count) -> plans.merge(plan, count, Long::sum));
    }

    ObjectNode toJson() {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("iteration", iteration);
        json.put("actor_steps", actorSteps);
        json.put("skipped_steps", skippedSteps);
        json.put("accuracy_before", accuracyBefore);
        json.put("reward_first", rewardFirst);
        json.put("reward_last", rewardLast);
        json.put("tokens", tokens);
        json.put("accept_first", acceptFirst);
        json.put("accept_last", acceptLast);
        json.put("accept_sum", acceptSum);
        json.put("seconds_rollout", secondsRollout);
        json.put("seconds_actor", secondsActor);
        json.put("seconds_drafter", secondsDrafter);
        json.put("seconds_drafter_exposed", secondsDrafterExposed);
        json.put("seconds_total", secondsTotal);
        ArrayNode sentences = json.putArray("alarms");
        alarms.forEach(sentences::add);
        json.put("trajectory_digest", digest.value());
        ObjectNode counts = json.putObject("plans");
        plans.forEach(counts::put);
        return json;
    }

    void restore(JsonNode json) {
        iteration = json.required("iteration").intValue();
        actorSteps = json.required("actor_steps").intValue();
        // Versions before this one did not count them.
        skippedSteps = json.path("skipped_steps").longValue();
        accuracyBefore = json.required("accuracy_before").doubleValue();
        rewardFirst = json.required("reward_first").doubleValue();
        rewardLast = json.required("reward_last").doubleValue();
        tokens = json.required("tokens").longValue();
        acceptFirst = json.required("accept_first").doubleValue();
        acceptLast = json.required("accept_last").doubleValue();
        acceptSum = json.required("accept_sum").doubleValue();
        secondsRollout = json.required("seconds_rollout").doubleValue();
        secondsActor = json.required("seconds_actor").doubleValue();
        secondsDrafter = json.required("seconds_drafter").doubleValue();
        secondsDrafterExposed = json.required("seconds_drafter_exposed").doubleValue();
        secondsTotal = json.required("seconds_total").doubleValue();
        alarms.clear();
        json.required("alarms").forEach(alarm -> alarms.add(alarm.textValue()));
        digest.restore(json.required("trajectory_digest").textValue());
        plans.clear();
        json.required("plans").properties().forEach(e -> plans.put(e.getKey(), e.getValue().longValue()));
    }
}

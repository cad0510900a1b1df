package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.RolloutStats;
import org.respec.engine.rollout.Trajectory;

/** What a run says of itself: a line an iteration, and a summary at its end. */
final class RunMetrics {
    private final RunParts parts;
    private final RunState state;

    RunMetrics(RunParts parts, RunState state) {
        this.parts = parts;
        this.state = state;
    }

    /** An iteration's line of {@code metrics.jsonl}; what is not known, or not finite, is left out. */
    ObjectNode line(RolloutStats stats, List<Trajectory> trajectories, double reward, PolicyTrainer.Report policy,
                    OnlineDrafter.Outcome learned, double actorSeconds) {
        ObjectNode line = JsonNodeFactory.instance.objectNode();
        line.put("iteration", state.iteration);
        line.put("time", System.currentTimeMillis() * 1e-3);
        line.put("reward", reward);
        line.put("accept_length", stats.acceptLength());
        line.put("plan", mostUsed(stats.plans()));
        line.put("tokens", stats.tokens());
        line.put("tokens_per_second", stats.tokensPerSecond());
        putKnown(line, "cost_error", parts.rollout.policy().costError());
        putKnown(line, "tokens_error", parts.rollout.policy().tokensError());
        ObjectNode plans = line.putObject("plans");
        stats.plans().forEach(plans::put);
        line.put("preemptions", stats.preemptions());
        RolloutMetrics.addLengths(line.putObject("response_length"), trajectories, parts.config.rollout().maxTokens());
        RolloutMetrics.addSteps(line.putObject("steps_by_live"), stats.groups());
        if (parts.trainer.maxRows() < parts.config.train().microBatchTokens()) {
            line.put("micro_batch_tokens", parts.trainer.maxRows());
        }
        putKnown(line, "loss", policy.loss());
        putKnown(line, "grad_norm", policy.gradNorm());
        line.put("skipped_steps", policy.skippedSteps());
        putKnown(line, "clip_fraction", policy.clipFraction());
        if (policy.mismatch() != null) {
            ObjectNode mismatch = line.putObject("mismatch");
            putKnown(mismatch, "mean", policy.mismatch().mean());
            putKnown(mismatch, "kl", policy.mismatch().kl());
            putKnown(mismatch, "max", policy.mismatch().max());
        }
        if (learned != null && learned.report() != null) {
            putKnown(line, "distill_loss", learned.report().divergence());
            putKnown(line, "draft_grad_norm", learned.report().gradNorm());
        }
        if (parts.online != null) {
            line.put("drafter_version", parts.online.version());
        }
        ObjectNode seconds = line.putObject("seconds");
        seconds.put("rollout", stats.seconds());
        seconds.put("draft", stats.draftSeconds());
        seconds.put("verify", stats.verifySeconds());
        seconds.put("actor", actorSeconds);
        seconds.put("drafter", learned == null ? 0 : learned.seconds());
        seconds.put("drafter_exposed", learned == null ? 0 : learned.exposedSeconds());
        return line;
    }

    private static void putKnown(ObjectNode line, String field, double value) {
        if (Double.isFinite(value)) {
            line.put(field, value);
        }
    }

    private static String mostUsed(Map<String, Long> plans) {
        return plans.entrySet().stream().max(Map.Entry.comparingByValue()).map(Map.Entry::getKey).orElse("off");
    }

    /** What {@code summary.json} says when a run ends. */
    ObjectNode summary(double accuracyAfter) {
        ObjectNode summary = JsonNodeFactory.instance.objectNode();
        summary.put("iterations", state.iteration);
        summary.put("seed", parts.config.run().seed());
        summary.put("device", parts.ops.device());
        if (parts.memory != null) {
            summary.set("memory", parts.memory.toJson());
        }
        if (parts.leftOut != null) {
            summary.set("plans_left_out", parts.leftOut.toJson());
        }
        summary.put("dtype", parts.actor.dtype().name().toLowerCase(Locale.ROOT));
        ObjectNode eval = summary.putObject("eval");
        eval.put("problems", parts.evaluator.size());
        eval.put("accuracy_before", state.accuracyBefore);
        eval.put("accuracy_after", accuracyAfter);
        ObjectNode reward = summary.putObject("reward");
        reward.put("first", state.rewardFirst);
        reward.put("last", state.rewardLast);
        ObjectNode rolled = summary.putObject("rollout");
        rolled.put("tokens", state.tokens);
        rolled.put("seconds", state.secondsRollout);
        rolled.put("tokens_per_second", state.secondsRollout == 0 ? 0 : state.tokens / state.secondsRollout);
        ObjectNode accept = rolled.putObject("accept_length");
        accept.put("first", state.acceptFirst);
        accept.put("last", state.acceptLast);
        accept.put("mean", state.iteration == 0 ? 0 : state.acceptSum / state.iteration);
        rolled.put("trajectory_sha256", state.digest.value());
        summary.put("skipped_steps", state.skippedSteps);
        summary.putObject("actor").put("weights_sha256", parts.actor.weights().sha256()).put("folder", TrainedModels.ACTOR);
        if (parts.drafter != null) {
            ObjectNode json = summary.putObject("drafter");
            json.put("weights_sha256", parts.drafter.weights().sha256());
            json.put("version", parts.online == null ? 0 : parts.online.version());
            if (parts.online != null) {
                json.put("folder", TrainedModels.DRAFTER);
            }
        }
        ObjectNode seconds = summary.putObject("seconds");
        seconds.put("rollout", state.secondsRollout);
        seconds.put("actor", state.secondsActor);
        seconds.put("drafter", state.secondsDrafter);
        seconds.put("drafter_exposed", state.secondsDrafterExposed);
        seconds.put("total", state.secondsTotal);
        ObjectNode plans = summary.putObject("plans");
        new TreeMap<>(state.plans).forEach(plans::put);
        ArrayNode alarms = summary.putArray("alarms");
        state.alarms.forEach(alarms::add);
        return summary;
    }
}

package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.respec.engine.rollout.StepGroup;
import org.respec.engine.rollout.Trajectory;

/** The parts of a metrics line that say how a rollout's work was spread: lengths of responses, and steps over load and plan. */
final class RolloutMetrics {
    private static final int LENGTH_BINS = 32;

    private RolloutMetrics() {
    }

    /**
     * {@code mean}, {@code max}, {@code cut} (the share that the length limit ended) and a histogram: {@code counts[i]} responses have
     * {@code i * width + 1} to {@code (i + 1) * width} tokens.
     */
    static void addLengths(ObjectNode json, List<Trajectory> trajectories, int maxTokens) {
        int width = (maxTokens + LENGTH_BINS - 1) / LENGTH_BINS;
        int[] counts = new int[LENGTH_BINS];
        long sum = 0;
        int max = 0;
        int cut = 0;
        int used = 0;
        for (Trajectory trajectory : trajectories) {
            int length = trajectory.response().length;
            int bin = Math.max(0, length - 1) / width;
            counts[bin]++;
            used = Math.max(used, bin + 1);
            sum += length;
            max = Math.max(max, length);
            cut += trajectory.ended() ? 0 : 1;
        }
        int all = Math.max(1, trajectories.size());
        json.put("mean", (double) sum / all);
        json.put("max", max);
        json.put("cut", (double) cut / all);
        json.put("width", width);
        ArrayNode histogram = json.putArray("counts");
        for (int i = 0; i < used; i++) {
            histogram.add(counts[i]);
        }
    }

    /**
     * By the most live requests of a group of steps, then by plan: {@code [steps, request steps, tokens, seconds]}; see
     * {@link StepGroup}.
     */
    static void addSteps(ObjectNode json, List<StepGroup> groups) {
        for (StepGroup group : groups) {
            json.withObjectProperty(Integer.toString(group.live())).putArray(group.plan())
                .add(group.steps()).add(group.requestSteps()).add(group.tokens()).add(group.seconds());
        }
    }
}

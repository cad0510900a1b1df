package org.respec.engine.simulate;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.respec.engine.speculation.SpeculationPlan;

/** What happened in a simulated rollout, of one worker or, added up, of several. */
final class Tally {
    /** When the last response was done. */
    double seconds;
    private double busySeconds;
    private double lostSeconds;
    private long tokens;
    private long speculativeTokens;
    private long speculativeRequestSteps;
    private final long[] steps;

    Tally(int plans) {
        steps = new long[plans];
    }

    /**
     * Adds a step.
     *
     * @param loss by what share it gains less per second than the best plan at hand
     */
    void add(int plan, int batch, int gained, double stepSeconds, double loss) {
        steps[plan]++;
        tokens += gained;
        busySeconds += stepSeconds;
        lostSeconds += loss * stepSeconds;
        if (plan > 0) {
            speculativeTokens += gained;
            speculativeRequestSteps += batch;
        }
    }

    void add(Tally other) {
        seconds = Math.max(seconds, other.seconds);
        busySeconds += other.busySeconds;
        lostSeconds += other.lostSeconds;
        tokens += other.tokens;
        speculativeTokens += other.speculativeTokens;
        speculativeRequestSteps += other.speculativeRequestSteps;
        for (int p = 0; p < steps.length; p++) {
            steps[p] += other.steps[p];
        }
    }

    SimulationReport.Line line(String policy, List<SpeculationPlan> plans) {
        Map<String, Long> used = new TreeMap<>();
        for (int p = 0; p < steps.length; p++) {
            if (steps[p] > 0) {
                used.put(plans.get(p).toString(), steps[p]);
            }
        }
        double length = speculativeRequestSteps == 0 ? 1 : (double) speculativeTokens / speculativeRequestSteps;
        return new SimulationReport.Line(policy, seconds, busySeconds, tokens, length, lostSeconds / busySeconds, used);
    }
}

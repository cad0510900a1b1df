package org.respec.engine.simulate;

import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * How policies compare on the same requests.
 *
 * @param statics one plan all the time, off among them
 * @param hindsight the best plan of every step
 */
public record SimulationReport(Line adaptive, List<Line> statics, Line hindsight) {
    /**
     * One policy.
     *
     * @param seconds until the last worker was done
     * @param busySeconds of all workers together
     * @param acceptLength tokens per request and step that speculated, 1 if none did
     * @param stepLoss share of the busy time that was lost by not taking, at each step, the best plan for the requests at hand
     * @param plans steps by plan
     */
    public record Line(String policy, double seconds, double busySeconds, long tokens, double acceptLength, double stepLoss,
                       Map<String, Long> plans) {
        /** Of all workers together, in virtual time. */
        public double tokensPerSecond() {
            return tokens / seconds;
        }
    }

    public SimulationReport {
        statics = List.copyOf(statics);
    }

    /** The rollout that never speculated. */
    public Line off() {
        return statics.stream().filter(line -> line.policy().equals("off")).findFirst().orElseThrow();
    }

    /** The fastest plan of those that are kept to. */
    public Line bestStatic() {
        return statics.stream().min(Comparator.comparingDouble(Line::seconds)).orElseThrow();
    }

    /** By what share the adaptive rollout takes longer than that with the best plan of every step. */
    public double regret() {
        return adaptive.seconds / hindsight.seconds - 1;
    }

    /** The same, of all workers' busy time. */
    public double busyRegret() {
        return adaptive.busySeconds / hindsight.busySeconds - 1;
    }
}

package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.respec.engine.rollout.Trajectory;

/**
 * Tokens gained per speculative step and request, for responses without reward, with some, and with all of it (1 or more): whether the
 * drafter serves the responses that matter.
 */
record AcceptByReward(long[] steps, long[] tokens) {
    private static final String[] BANDS = {"none", "some", "full"};

    static AcceptByReward of(List<Trajectory> trajectories, double[] rewards) {
        AcceptByReward sums = new AcceptByReward(new long[BANDS.length], new long[BANDS.length]);
        for (int i = 0; i < rewards.length; i++) {
            int band = rewards[i] <= 0 ? 0 : rewards[i] < 1 ? 1 : 2;
            sums.steps[band] += trajectories.get(i).speculativeSteps();
            sums.tokens[band] += trajectories.get(i).speculativeTokens();
        }
        return sums;
    }

    /** Adds the accept length of every band in which there was speculation. */
    void add(ObjectNode json) {
        for (int band = 0; band < BANDS.length; band++) {
            if (steps[band] > 0) {
                json.put(BANDS[band], (double) tokens[band] / steps[band]);
            }
        }
    }
}

package org.respec.engine.rollout;

import java.util.List;
import java.util.Map;

/**
 * What a rollout did.
 *
 * @param tokens response tokens
 * @param seconds wall time
 * @param steps decode or verify passes
 * @param speculativeTokens tokens gained in steps with speculation on
 * @param speculativeRequestSteps sum over those steps of the live requests
 * @param preemptions requests that gave their pages back and were prefilled again
 * @param plans how many steps ran each plan
 * @param draftSeconds time in drafting
 * @param verifySeconds time in the actor's passes, sampling and acceptance
 * @param groups the steps by live requests and plan
 */
public record RolloutStats(long tokens, double seconds, long steps, long speculativeTokens, long speculativeRequestSteps,
                           long preemptions, Map<String, Long> plans, double draftSeconds, double verifySeconds,
                           List<StepGroup> groups) {
    /** Mean tokens gained per request and speculative step, bonus token included; 1 where no step speculated. */
    public double acceptLength() {
        return speculativeRequestSteps == 0 ? 1 : (double) speculativeTokens / speculativeRequestSteps;
    }

    /** Response tokens by wall time; 0 where nothing ran. */
    public double tokensPerSecond() {
        return seconds == 0 ? 0 : tokens / seconds;
    }
}

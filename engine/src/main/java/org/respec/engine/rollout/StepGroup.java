package org.respec.engine.rollout;

/**
 * The steps of a rollout that ran one plan over about the same number of live requests.
 *
 * @param live most live requests of this group: 1, 2, 4, 8 and so on; the fewest are one more than half of it
 * @param plan what they ran
 * @param steps how many they are
 * @param requestSteps sum over them of the live requests
 * @param tokens what they gained
 * @param seconds time in drafting, the actor's passes, sampling and acceptance; prefill is not in it
 */
public record StepGroup(int live, String plan, long steps, long requestSteps, long tokens, double seconds) {
}

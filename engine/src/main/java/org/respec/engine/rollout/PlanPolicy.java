package org.respec.engine.rollout;

import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.SpeculationPlan;

/** Who decides, step by step, how far to speculate. */
public interface PlanPolicy {
    /**
     * The plan of the next step.
     *
     * @param batch live requests
     * @param missedRows decided tokens that the drafter has not been extended over
     * @param remainingTokens tokens that are expected to be drawn until the rollout's end, by all requests; NaN if nothing is known
     */
    SpeculationPlan choose(int batch, int missedRows, double remainingTokens);

    /**
     * Rows of a verify pass that each live request may need, however many are live: an engine makes its passes that wide. Whoever leaves
     * out the plans that do not fit into the widest pass needs no more than the root's.
     */
    default int rowsEach() {
        return 1;
    }

    /** What a step cost, its choice left out, and gained: {@code tokens} over all requests, {@code rows} verified, in nanoseconds. */
    void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos);

    /**
     * At a reached node of depth {@code depth - 1} whose children the drafter had named, the actor's token was the drafter's choice
     * number {@code rank} of {@code named}, or none of them (-1).
     *
     * @param request number of the live request
     */
    void observeRank(int request, int depth, int rank, int named);

    /** Told before the first step: where it says, from then on, whom a step's live requests are. */
    default void attach(LiveBatch batch) {
        // Most policies take all requests to be alike.
    }

    /** By what share predicted times of steps were wrong of late; NaN for a policy that predicts none. */
    default double costError() {
        return Double.NaN;
    }

    /** By what share predicted tokens of steps were wrong of late; NaN for a policy that predicts none. */
    default double tokensError() {
        return Double.NaN;
    }

    /**
     * Share of the device that others used, 0 to 1: mean over the time of the steps since the last call; NaN for a policy that does not
     * watch them, or where nothing was heard.
     */
    default double takeUtilization() {
        return Double.NaN;
    }

    /** Called when no more steps will come. */
    default void close() {
        // Most policies hold nothing.
    }
}

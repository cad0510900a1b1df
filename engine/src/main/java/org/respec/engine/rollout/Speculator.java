package org.respec.engine.rollout;

import org.respec.engine.speculation.SpeculationPlan;

/**
 * A drafter at work: grows every live request's pool of candidates. Whatever it proposes, tokens drawn stay the same; how many are
 * drawn in a step is what it is for. It may be closed for a request at any step and meet it again later.
 */
interface Speculator extends AutoCloseable {
    /** Decided tokens of the live requests that it has not taken in: what turning on costs first. */
    int missedRows(Slot[] live, int count);

    /**
     * Grows the pools of the engine's trees to the plan's depth; they are ready on the device for what is queued next.
     *
     * @param rootPositions position of each request's last decided token
     */
    void draft(Slot[] live, int count, SpeculationPlan plan, HostView rootPositions);

    /** Candidates in the pool of live request {@code r} after {@link #draft}; known without waiting for the device. */
    int candidates(int r);

    /** A request leaves the batch, or is no longer this one's to draft for. */
    void close(Slot slot);

    /** A group is done, or is no longer this one's to draft for. */
    void closeGroup(GroupState group);

    @Override
    void close();
}

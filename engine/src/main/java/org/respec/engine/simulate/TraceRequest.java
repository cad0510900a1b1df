package org.respec.engine.simulate;

import org.respec.engine.speculation.AcceptanceTable;

/**
 * A request of a trace.
 *
 * @param tokens length of its response
 * @param arrival seconds from the start at which it may be begun
 * @param group requests of a group go to the same worker, or -1 for one that is alone
 * @param acceptance how often its tokens are the drafter's choices, or null for what the profile says
 */
public record TraceRequest(int tokens, double arrival, int group, AcceptanceTable acceptance) {
    public TraceRequest {
        if (tokens < 1 || !(arrival >= 0) || group < -1) {
            throw new IllegalArgumentException(tokens + " tokens at " + arrival + " s of group " + group);
        }
    }
}

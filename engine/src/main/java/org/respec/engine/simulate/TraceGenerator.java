package org.respec.engine.simulate;

import java.util.ArrayList;
import java.util.List;
import org.respec.engine.speculation.Acceptance;
import org.respec.engine.speculation.AcceptanceTable;
import org.respec.kernels.TreeBatch;

/**
 * Made-up requests with the long tail of responses that reasoning models give: lengths are log-normal, and the groups' acceptances
 * scatter around a given one.
 *
 * @param requests how many
 * @param median median length in tokens
 * @param spread standard deviation of the length's logarithm: with 1, one in forty is over seven times the median
 * @param longest where lengths are cut, as a token limit cuts them
 * @param groupSize requests that share a group and its acceptance
 * @param acceptSpread standard deviation of the shift of an acceptance's log-odds, by group: 0 leaves it to the profile
 */
public record TraceGenerator(int requests, double median, double spread, int longest, int groupSize, double acceptSpread) {
    private static final long LENGTHS = 1;
    private static final long ACCEPTANCES = 2;

    public TraceGenerator {
        if (requests < 1 || !(median >= 1) || !(spread >= 0) || longest < 1 || groupSize < 1 || !(acceptSpread >= 0)) {
            throw new IllegalArgumentException("a trace of " + requests + " requests");
        }
    }

    /** The same requests for the same seed; {@code base} is what acceptances scatter around. */
    public List<TraceRequest> generate(long seed, Acceptance base) {
        List<TraceRequest> trace = new ArrayList<>();
        AcceptanceTable acceptance = null;
        for (int i = 0; i < requests; i++) {
            int group = i / groupSize;
            if (i % groupSize == 0 && acceptSpread > 0) {
                acceptance = shifted(base, acceptSpread * CounterNoise.normal(seed, ACCEPTANCES, group));
            }
            double length = median * Math.exp(spread * CounterNoise.normal(seed, LENGTHS, i));
            trace.add(new TraceRequest((int) Math.clamp(Math.round(length), 1L, longest), 0, groupSize == 1 ? -1 : group, acceptance));
        }
        return trace;
    }

    /** Every depth's chance that any choice is right has its log-odds shifted; ranks keep their shares of it. */
    private static AcceptanceTable shifted(Acceptance base, double shift) {
        double[][] chances = new double[TreeBatch.MAX_DEPTH][TreeBatch.MAX_BRANCH];
        for (int d = 0; d < chances.length; d++) {
            double sum = 0;
            for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
                sum += base.chance(d + 1, rank);
            }
            double moved = sum <= 0 || sum >= 1 ? sum : 1 / (1 + (1 - sum) / sum * Math.exp(-shift));
            for (int rank = 0; rank < TreeBatch.MAX_BRANCH; rank++) {
                // Rounded as a file has it, so that a trace that was written and read again is the same.
                double share = sum <= 0 ? 0 : base.chance(d + 1, rank) * moved / sum;
                chances[d][rank] = Math.floor(share * 1e4) / 1e4;
            }
        }
        return new AcceptanceTable(chances);
    }
}

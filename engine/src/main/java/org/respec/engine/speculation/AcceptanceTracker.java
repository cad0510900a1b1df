package org.respec.engine.speculation;

import org.respec.kernels.TreeBatch;

/**
 * How often the actor's token is the drafter's first, second, ... choice, by depth. Kept as conditional chances, "choice r, given
 * none before it", with exponentially decaying counts, so that plans of any branching teach the ranks they name.
 */
public final class AcceptanceTracker implements Acceptance {
    private static final int DEPTHS = TreeBatch.MAX_DEPTH;
    private static final int RANKS = TreeBatch.MAX_BRANCH;

    /** Observations of a rank after which an old one counts 1/e: some steps of a full batch. */
    private static final double WINDOW = 2000;
    /** Assumed chance of the drafter's first choice before anything is seen, and how many observations it counts for. */
    private static final double PRIOR = 0.9;
    private static final double PRIOR_WEIGHT = 8;

    private final double[][] hits = new double[DEPTHS + 1][RANKS];
    private final double[][] tries = new double[DEPTHS + 1][RANKS];
    private final double decay;
    private final double priorWeight;
    private final double[] prior = new double[RANKS];
    /** Chances by depth and rank, as of some version. */
    private final double[][] chances = new double[DEPTHS + 1][RANKS];
    private long chancesVersion = -1;
    private LiveAcceptance live;
    private long version;

    /**
     * @param window observations after which an old one counts 1/e
     * @param priorFirst assumed chance of the first choice before anything is seen: optimistic, so that speculation is tried
     * @param priorWeight observations that the assumption counts for
     */
    public AcceptanceTracker(double window, double priorFirst, double priorWeight) {
        if (!(window >= 1) || !(priorFirst > 0 && priorFirst < 1) || !(priorWeight > 0)) {
            throw new IllegalArgumentException("window " + window + ", prior " + priorFirst + " of weight " + priorWeight);
        }
        this.decay = 1 - 1 / window;
        this.priorWeight = priorWeight;
        for (int r = 0; r < RANKS; r++) {
            prior[r] = r == 0 ? priorFirst : 0.4 / r;
        }
    }

    /** One that begins with hopes which the first steps of a batch correct. */
    public static AcceptanceTracker hopeful() {
        return new AcceptanceTracker(WINDOW, PRIOR, PRIOR_WEIGHT);
    }

    /** Says where it stands, from now on, which requests are live: what is seen of each then tells them apart. */
    public void attach(LiveBatch batch) {
        live = new LiveAcceptance(this, batch);
    }

    /** Chances for the requests that are live now, until the next call; those for all where nobody said which these are. */
    Acceptance live() {
        if (live == null) {
            return this;
        }
        live.refresh();
        return live;
    }

    /** Changes whenever chances do. */
    public long version() {
        return version;
    }

    /** As below, for a live request; everything learns of it. */
    public void observe(int request, int depth, int rank, int named) {
        if (live != null) {
            double none = 1;
            for (int r = 0; r < named; r++) {
                none *= 1 - conditional(depth, r);
            }
            live.observe(request, depth, 1 - none, rank >= 0);
        }
        observe(depth, rank, named);
    }

    /**
     * At a reached node of depth {@code depth - 1}, the actor's token was choice {@code rank} of the {@code named} best, or none (-1).
     */
    public void observe(int depth, int rank, int named) {
        if (depth < 1 || depth > DEPTHS || named < 1 || named > RANKS || rank >= named) {
            throw new IllegalArgumentException("rank " + rank + " of " + named + " at depth " + depth);
        }
        int last = rank < 0 ? named - 1 : rank;
        for (int r = 0; r <= last; r++) {
            tries[depth][r] = tries[depth][r] * decay + 1;
            hits[depth][r] = hits[depth][r] * decay + (r == rank ? 1 : 0);
        }
        version++;
    }

    /** Keeps such a share of what was seen. */
    void fade(double kept) {
        for (int depth = 1; depth <= DEPTHS; depth++) {
            for (int rank = 0; rank < RANKS; rank++) {
                hits[depth][rank] *= kept;
                tries[depth][rank] *= kept;
            }
        }
        version++;
    }

    /** Chance that the actor's token is choice {@code rank}, given that none before it is; unseen depths follow the one above. */
    double conditional(int depth, int rank) {
        double chance = prior[rank];
        for (int d = 1; d <= depth; d++) {
            chance = posterior(d, rank, chance);
        }
        return chance;
    }

    @Override
    public double chance(int depth, int rank) {
        if (chancesVersion != version) {
            for (int r = 0; r < RANKS; r++) {
                double given = prior[r];
                for (int d = 1; d <= DEPTHS; d++) {
                    given = posterior(d, r, given);
                    chances[d][r] = given;
                }
            }
            for (int d = 1; d <= DEPTHS; d++) {
                double left = 1;
                for (int r = 0; r < RANKS; r++) {
                    double given = chances[d][r];
                    chances[d][r] = left * given;
                    left *= 1 - given;
                }
            }
            chancesVersion = version;
        }
        return chances[depth][rank];
    }

    /** Chance given that no better choice is right, if before it was seen at this depth it would have been {@code prior}. */
    private double posterior(int depth, int rank, double prior) {
        return (hits[depth][rank] + priorWeight * prior) / (tries[depth][rank] + priorWeight);
    }
}

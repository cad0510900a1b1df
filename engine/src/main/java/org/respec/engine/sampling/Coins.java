package org.respec.engine.sampling;

/** The chance that a {@link LevelRule} consumes, so that the same rule can be drawn from and, in tests, enumerated. */
public interface Coins {
    /** True with this chance; values outside 0 to 1 count as the nearer end. */
    boolean accept(double chance);

    /** An index drawn in proportion to {@code weights}, which are not negative and sum to more than 0. */
    int draw(double[] weights);

    /** Fills {@code noise} with independent standard Gumbel variates. */
    void gumbels(float[] noise);
}

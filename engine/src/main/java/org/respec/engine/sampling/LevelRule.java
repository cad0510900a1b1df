package org.respec.engine.sampling;

/**
 * How the children of one node of a draft tree are chosen and how the actor's token is drawn against them. A tree is walked by
 * applying the rule at the root, then at the accepted child, and so on; every rule draws the actor's distribution exactly.
 */
public interface LevelRule {
    /** Short name, for tables. */
    String name();

    /**
     * Draws one level.
     *
     * @param p the actor's distribution at the node
     * @param q the drafter's distribution at the node, of the same length
     * @param children most children the node may have, at least 1
     */
    Level draw(double[] p, double[] q, int children, Coins coins);
}

package org.respec.engine.sampling;

/**
 * The tree of EAGLE-2 and EAGLE-3: the children are the drafter's likeliest tokens, so each is a point mass. A child is accepted with
 * the actor's chance of it among what is left; a refused one is taken out of the actor's distribution.
 */
public final class RankedRule implements LevelRule {
    @Override
    public String name() {
        return "ranked";
    }

    @Override
    public Level draw(double[] p, double[] q, int children, Coins coins) {
        double[] left = p.clone();
        double mass = Distributions.sum(left);
        int[] candidates = Distributions.largest(q, children);
        for (int child = 0; child < candidates.length; child++) {
            int token = candidates[child];
            if (coins.accept(left[token] / mass)) {
                return new Level(token, child);
            }
            left[token] = 0;
            // Summed again, not subtracted: the last token with any chance must have all of it.
            mass = Distributions.sum(left);
        }
        return new Level(coins.draw(left), -1);
    }
}

package org.respec.engine.sampling;

/**
 * This engine's tree: actor and drafter add the same Gumbel noise to their log-probabilities. The actor's token is its argmax, the
 * children are the drafter's largest.
 */
public final class CoupledRule implements LevelRule {
    @Override
    public String name() {
        return "coupled";
    }

    @Override
    public Level draw(double[] p, double[] q, int children, Coins coins) {
        float[] noise = new float[p.length];
        coins.gumbels(noise);
        double[] drafter = new double[q.length];
        int token = 0;
        double best = Double.NEGATIVE_INFINITY;
        for (int x = 0; x < p.length; x++) {
            double actor = Math.log(p[x]) + noise[x];
            if (actor > best) {
                best = actor;
                token = x;
            }
            drafter[x] = Math.log(q[x]) + noise[x];
        }
        int[] candidates = Distributions.largest(drafter, children);
        for (int child = 0; child < candidates.length; child++) {
            if (candidates[child] == token) {
                return new Level(token, child);
            }
        }
        return new Level(token, -1);
    }
}

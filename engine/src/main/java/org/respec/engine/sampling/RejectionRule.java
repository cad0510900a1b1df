package org.respec.engine.sampling;

/**
 * The tree of Sequoia (Chen et al., 2024): children are drawn from the drafter without replacement, and accepted one after another by
 * {@code p / q}; a refused one leaves the residual {@code max(0, p - q)} and is taken out of q. Where q runs out, p's rest is drawn.
 */
public final class RejectionRule implements LevelRule {
    @Override
    public String name() {
        return "rejection";
    }

    @Override
    public Level draw(double[] p, double[] q, int children, Coins coins) {
        double[] target = Distributions.normalised(p);
        double[] draft = Distributions.normalised(q);
        for (int child = 0; child < children; child++) {
            int token = coins.draw(draft);
            if (coins.accept(target[token] / draft[token])) {
                return new Level(token, child);
            }
            double rest = 0;
            for (int x = 0; x < target.length; x++) {
                target[x] = Math.max(0, target[x] - draft[x]);
                rest += target[x];
            }
            if (rest <= 0) {
                // Only rounding gets here: where p equals q nothing is refused.
                return new Level(token, child);
            }
            for (int x = 0; x < target.length; x++) {
                target[x] /= rest;
            }
            draft[token] = 0;
            double left = Distributions.sum(draft);
            if (left <= 0) {
                break;
            }
            for (int x = 0; x < draft.length; x++) {
                draft[x] /= left;
            }
        }
        return new Level(coins.draw(target), -1);
    }
}

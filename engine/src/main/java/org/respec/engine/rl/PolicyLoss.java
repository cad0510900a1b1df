package org.respec.engine.rl;

/**
 * GRPO's clipped objective with an optional KL term, per token; {@code Ops.policyLoss} computes its gradient. The loss of one token with
 * advantage A, ratio r = exp(new - old) and reference gap d = reference - new is
 * {@code -min(r A, clip(r, 1 - low, 1 + high) A) + beta (exp(d) - d - 1)}.
 *
 * @param clipLow how far the ratio may fall under 1
 * @param clipHigh how far it may rise over 1 (DAPO's "clip higher" where larger than {@code clipLow})
 * @param klCoefficient beta; 0 leaves the reference out
 */
public record PolicyLoss(float clipLow, float clipHigh, float klCoefficient) {
    /** Whether the ratio is cut at this token, so that the policy term has no gradient. */
    public boolean clipped(float advantage, float newLogProb, float oldLogProb) {
        float ratio = (float) Math.exp(newLogProb - oldLogProb);
        return advantage >= 0 ? ratio > 1 + clipHigh : ratio < 1 - clipLow;
    }

    /** The loss of one token. */
    public double value(float advantage, float newLogProb, float oldLogProb, float referenceLogProb) {
        double ratio = Math.exp(newLogProb - oldLogProb);
        double cut = Math.min(Math.max(ratio, 1 - clipLow), 1 + clipHigh);
        double policy = -Math.min(ratio * advantage, cut * advantage);
        double gap = referenceLogProb - newLogProb;
        return klCoefficient == 0 ? policy : policy + klCoefficient * (Math.exp(gap) - gap - 1);
    }
}

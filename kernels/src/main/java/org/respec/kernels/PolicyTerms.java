package org.respec.kernels;

/**
 * What {@link Ops#policyLoss} weighs each row's target token with. With l the token's log-probability, s its entry of {@code old}, or l
 * itself where that is null, r = exp(l - s) and A its advantage, the token's loss is
 * {@code -min(r A, clip(r, 1 - clipLow, 1 + clipHigh) A) + klCoefficient (exp(d) - d - 1)}, d = reference - l, times
 * {@code weight min(exp(s - rollout), cap)}; s and this weight are constants to the gradient. Without {@code old}, the rest null and
 * A = 1, the gradient is that of cross-entropy.
 *
 * @param weights F32 [1 x rows]; rows of weight 0 are left out
 * @param advantages F32 [1 x rows]
 * @param old F32 [1 x rows] log-probabilities that ratios are relative to; null for the current ones
 * @param reference F32 [1 x rows] log-probabilities of the reference policy; null without a KL term
 * @param rollout F32 [1 x rows] log-probabilities that tokens were drawn with; null for no importance weights
 */
public record PolicyTerms(Tensor weights, Tensor advantages, Tensor old, Tensor reference, Tensor rollout, float clipLow, float clipHigh,
                          float klCoefficient, float cap) {
    /** Cross-entropy of the target tokens: advantages are all 1. */
    public static PolicyTerms crossEntropy(Tensor weights, Tensor ones) {
        return new PolicyTerms(weights, ones, null, null, null, 0, 0, 0, 0);
    }

    /** The terms of some rows. */
    public PolicyTerms columns(int from, int to) {
        return new PolicyTerms(part(weights, from, to), part(advantages, from, to), part(old, from, to), part(reference, from, to),
            part(rollout, from, to), clipLow, clipHigh, klCoefficient, cap);
    }

    private static Tensor part(Tensor vector, int from, int to) {
        return vector == null ? null : vector.columns(from, to);
    }

    /** Refuses what {@link Ops#policyLoss} cannot take, the targets' range apart. */
    public void check(Tensor logits, Tensor targets, Tensor logProbs, Tensor gradient, int rows) {
        String operator = "policyLoss";
        Checks.matrix(operator, "logits", logits, logits.dtype(), rows, logits.cols());
        Checks.matrix(operator, "gradient", gradient, gradient.dtype(), rows, logits.cols());
        Checks.vector(operator, "targets", targets, DType.I32, rows);
        Checks.vector(operator, "logProbs", logProbs, DType.F32, rows);
        Checks.vector(operator, "weights", weights, DType.F32, rows);
        Checks.vector(operator, "advantages", advantages, DType.F32, rows);
        Tensor[] optional = {old, reference, rollout};
        String[] names = {"old", "reference", "rollout"};
        for (int i = 0; i < optional.length; i++) {
            if (optional[i] != null) {
                Checks.vector(operator, names[i], optional[i], DType.F32, rows);
            }
        }
        if (!(clipLow >= 0 && clipHigh >= 0 && klCoefficient >= 0 && cap >= 0)) {
            throw new IllegalArgumentException(operator + ": clipLow, clipHigh, klCoefficient and cap must be 0 or more, got " + clipLow
                + ", " + clipHigh + ", " + klCoefficient + " and " + cap);
        }
        if (gradient.address() != logits.address() || gradient.dtype() != logits.dtype() || gradient.rowStride() != logits.rowStride()) {
            Checks.disjoint(operator, "gradient", gradient, "logits", logits);
        }
    }
}

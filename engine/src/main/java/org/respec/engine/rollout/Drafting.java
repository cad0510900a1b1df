package org.respec.engine.rollout;

import org.respec.engine.BadInput;

/**
 * Who drafts in a rollout and how a step's verify nodes are shared out. It changes speed alone: never what is drawn.
 *
 * @param kind who drafts first; {@link RolloutEngine#draftWith} changes it later
 * @param sharpness see {@link org.respec.kernels.Ops#draftExpand}
 * @param shared whether the requests of a step share one budget of nodes, which goes to the likeliest candidates of all of them, or
 *     have the plan's tokens each
 * @param ngramBytes most memory of the n-gram index
 */
public record Drafting(Kind kind, float sharpness, boolean shared, long ngramBytes) {
    /** Drafters. */
    public enum Kind {
        /** No one: plain decoding. */
        NONE,
        /** The trained drafter. */
        EAGLE,
        /** What followed the same tokens before, in this and earlier responses: no weights. */
        NGRAM
    }

    /** Room for half a million contexts, each with the tokens that followed it. */
    public static final long NGRAM_BYTES = 32L << 20;

    public Drafting {
        if (!(sharpness > 0) || ngramBytes < NgramIndex.LEAST_BYTES) {
            throw new BadInput("drafting: sharpness " + sharpness + " must be over 0, and n-gram memory of " + ngramBytes
                + " bytes at least " + NgramIndex.LEAST_BYTES + ".");
        }
    }

    /** Defaults with a drafter of some kind. */
    public static Drafting of(Kind kind, float sharpness) {
        return new Drafting(kind, sharpness, true, NGRAM_BYTES);
    }
}

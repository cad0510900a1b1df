package org.respec.kernels;

/**
 * Grouped-query attention's sizes. A fused projection row holds {@code heads} query heads, then {@code kvHeads} key heads, then
 * {@code kvHeads} value heads, each of {@code headDim} elements.
 */
public record AttentionShape(int heads, int kvHeads, int headDim) {
    public AttentionShape {
        if (heads < 1 || kvHeads < 1 || heads % kvHeads != 0 || headDim < 2 || headDim % 2 != 0) {
            throw new IllegalArgumentException("attention of " + heads + " heads, " + kvHeads + " KV heads of size " + headDim);
        }
    }

    /** Query heads that share one KV head. */
    public int group() {
        return heads / kvHeads;
    }

    /** Columns of all query heads of a row. */
    public int queryWidth() {
        return heads * headDim;
    }

    /** Columns of all key heads of a row, and of all value heads. */
    public int kvWidth() {
        return kvHeads * headDim;
    }

    /** Columns of a fused query-key-value row. */
    public int fusedWidth() {
        return queryWidth() + 2 * kvWidth();
    }
}

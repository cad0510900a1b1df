package org.respec.kernels;

/**
 * How keys and values lie in a paged cache: {@code [layer][page][K|V][kvHead][pageSize][headDim]}. A <em>slot</em> is
 * {@code page * pageSize + offset}, one token's place in every layer.
 */
public record KvLayout(DType dtype, int layers, int kvHeads, int headDim, int pageSize, int pages) {
    public KvLayout {
        if (layers < 1 || kvHeads < 1 || headDim < 1 || pageSize < 1 || pages < 1) {
            throw new IllegalArgumentException("KV layout with a size under 1: " + layers + " layers, " + kvHeads + " heads of "
                + headDim + ", " + pages + " pages of " + pageSize);
        }
        Math.multiplyExact(pages, pageSize);
        Math.multiplyExact(Math.multiplyExact((long) layers, pages), 2L * kvHeads * pageSize * headDim * dtype.bytes());
    }

    /** Elements of the keys (or the values) of one head in one page. */
    public long headElements() {
        return (long) pageSize * headDim;
    }

    /** Elements of one page in one layer, keys and values. */
    public long pageElements() {
        return 2 * kvHeads * headElements();
    }

    /** Elements of one layer. */
    public long layerElements() {
        return pages * pageElements();
    }

    /** Element offset of the key of {@code slot} in {@code layer} for {@code head}; the value lies {@code kvHeads * headElements()} on. */
    public long keyOffset(int layer, int slot, int head) {
        return layer * layerElements() + (slot / pageSize) * pageElements() + head * headElements()
            + (long) (slot % pageSize) * headDim;
    }

    /** Bytes of the whole cache. */
    public long bytes() {
        return layers * layerElements() * dtype.bytes();
    }
}

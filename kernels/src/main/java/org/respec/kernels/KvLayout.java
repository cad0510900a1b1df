package org.respec.kernels;

/**
 * How keys and values lie in a paged cache: {@code [layer][page][K|V][kvHead][pageSize][headDim]}. A <em>slot</em> is
 * {@code page * pageSize + offset}, one token's place in every layer. As a matrix it is [{@link #rows} x {@link #cols}], a page of one
 * layer a row, so that only a page has to be within what an {@code int} counts, not a layer.
 */
public record KvLayout(DType dtype, int layers, int kvHeads, int headDim, int pageSize, int pages) {
    /** @throws ArithmeticException if slots, rows or the elements of a page are more than an {@code int} counts */
    public KvLayout {
        if (layers < 1 || kvHeads < 1 || headDim < 1 || pageSize < 1 || pages < 1) {
            throw new IllegalArgumentException("KV layout with a size under 1: " + layers + " layers, " + kvHeads + " heads of "
                + headDim + ", " + pages + " pages of " + pageSize);
        }
        Math.multiplyExact(pages, pageSize);
        long cols = Math.multiplyExact(2L * kvHeads * headDim, pageSize);
        Math.multiplyExact((long) Math.multiplyExact(layers, pages), (long) Math.toIntExact(cols) * dtype.bytes());
    }

    /** Elements of the keys (or the values) of one head in one page. */
    public long headElements() {
        return (long) pageSize * headDim;
    }

    /** Elements of one page in one layer, keys and values. */
    public long pageElements() {
        return 2 * kvHeads * headElements();
    }

    /** Rows of the cache as a matrix: the pages of the first layer, then those of the next. */
    public int rows() {
        return layers * pages;
    }

    /** Columns of the cache as a matrix: {@link #pageElements}. */
    public int cols() {
        return (int) pageElements();
    }

    /** Elements of one layer, and from a layer to the next. */
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

package org.respec.kernels;

/**
 * A paged cache as operators see it.
 *
 * @param data [layers * pages x pageElements] without gaps: {@link KvLayout#rows} and {@link KvLayout#cols}
 * @param pageTable I32 [sequences x maxPages]: page of each {@code pageSize} tokens of a sequence; entries past its end are -1
 */
public record KvStore(KvLayout layout, Tensor data, HostMirror pageTable) {
    public KvStore {
        if (data.rows() != layout.rows() || data.cols() != layout.cols() || data.dtype() != layout.dtype() || !data.contiguous()) {
            throw new IllegalArgumentException("KV data " + data + " does not fit " + layout);
        }
    }

    /** Zero-filled pages in {@code arena}. */
    public static KvStore allocate(TensorArena arena, KvLayout layout, HostMirror pageTable) {
        return new KvStore(layout, arena.allocate(layout.dtype(), layout.rows(), layout.cols()), pageTable);
    }

    /** Address of a layer's first page. */
    public long layerAddress(int layer) {
        return data.address() + layer * layout.layerElements() * layout.dtype().bytes();
    }
}

package org.respec.kernels;

/**
 * A paged cache as operators see it.
 *
 * @param data [layers x layerElements]
 * @param pageTable I32 [sequences x maxPages]: page of each {@code pageSize} tokens of a sequence; entries past its end are -1
 */
public record KvStore(KvLayout layout, Tensor data, HostMirror pageTable) {
    public KvStore {
        if (data.rows() != layout.layers() || data.cols() != layout.layerElements() || data.dtype() != layout.dtype()) {
            throw new IllegalArgumentException("KV data " + data + " does not fit " + layout);
        }
    }
}

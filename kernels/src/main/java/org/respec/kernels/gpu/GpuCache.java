package org.respec.kernels.gpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Writes and moves in the paged cache: checks, then launches. */
final class GpuCache {
    private final GpuContext gpu;

    GpuCache(GpuContext gpu) {
        this.gpu = gpu;
    }

    void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows) {
        throw new UnsupportedOperationException("kvAppend has no CUDA kernel yet");
    }

    void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        throw new UnsupportedOperationException("kvMove has no CUDA kernel yet");
    }

    void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        throw new UnsupportedOperationException("kvCopyPages has no CUDA kernel yet");
    }
}

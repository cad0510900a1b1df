package org.respec.kernels.gpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** Attention over the paged cache: checks, then launches. */
final class GpuTreeAttention {
    private final GpuContext gpu;

    GpuTreeAttention(GpuContext gpu) {
        this.gpu = gpu;
    }

    void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows) {
        throw new UnsupportedOperationException("treeAttention has no CUDA kernel yet");
    }
}

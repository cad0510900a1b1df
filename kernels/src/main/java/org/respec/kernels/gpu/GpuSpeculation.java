package org.respec.kernels.gpu;

import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** Growing, selecting and verifying draft trees: checks, then launches. */
final class GpuSpeculation {
    private final GpuContext gpu;

    GpuSpeculation(GpuContext gpu) {
        this.gpu = gpu;
    }

    void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        throw new UnsupportedOperationException("verifyTrees has no CUDA kernel yet");
    }

    void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed,
            HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        throw new UnsupportedOperationException("draftExpand has no CUDA kernel yet");
    }

    void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        throw new UnsupportedOperationException("draftSelect has no CUDA kernel yet");
    }
}

package org.respec.kernels.cpu;

import org.respec.kernels.*;

/** The operators on the host's cores. */
public final class CpuOps implements Ops {
    private final WorkerPool pool;

    /** Operators on {@code threads} threads, the caller included. */
    public CpuOps(int threads) {
        this.pool = new WorkerPool(threads);
    }

    @Override
    public String device() {
        return "cpu, " + pool.threads() + " threads";
    }

    @Override
    public TensorArena arena(String name) {
        return new CpuArena(name);
    }

    @Override
    public void push(HostMirror mirror, long elements) {
    }

    @Override
    public void pull(HostMirror mirror, long elements) {
    }

    @Override
    public void synchronize() {
    }

    @Override
    public void fill(Tensor x, float value) {
        throw new UnsupportedOperationException("fill");
    }

    @Override
    public void copy(Tensor src, Tensor dst, int rows) {
        throw new UnsupportedOperationException("copy");
    }

    @Override
    public void add(Tensor x, Tensor y, int rows) {
        throw new UnsupportedOperationException("add");
    }

    @Override
    public void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count) {
        throw new UnsupportedOperationException("copyRows");
    }

    @Override
    public void embedding(Tensor table, Tensor tokens, Tensor out, int rows) {
        throw new UnsupportedOperationException("embedding");
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, int rows) {
        throw new UnsupportedOperationException("rmsNorm");
    }

    @Override
    public PackedMatrix pack(TensorArena arena, Tensor weight) {
        throw new UnsupportedOperationException("pack");
    }

    @Override
    public void repack(Tensor weight, PackedMatrix packed) {
        throw new UnsupportedOperationException("repack");
    }

    @Override
    public void linear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        throw new UnsupportedOperationException("linear");
    }

    @Override
    public void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift, Tensor rope, Tensor out, int rows) {
        throw new UnsupportedOperationException("qkNormRope");
    }

    @Override
    public void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows) {
        throw new UnsupportedOperationException("kvAppend");
    }

    @Override
    public void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows) {
        throw new UnsupportedOperationException("treeAttention");
    }

    @Override
    public void swiglu(Tensor gateUp, Tensor out, int rows) {
        throw new UnsupportedOperationException("swiglu");
    }

    @Override
    public void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        throw new UnsupportedOperationException("kvMove");
    }

    @Override
    public void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        throw new UnsupportedOperationException("kvCopyPages");
    }

    @Override
    public void sample(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows) {
        throw new UnsupportedOperationException("sample");
    }

    @Override
    public void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        throw new UnsupportedOperationException("verifyTrees");
    }

    @Override
    public void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        throw new UnsupportedOperationException("draftExpand");
    }

    @Override
    public void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        throw new UnsupportedOperationException("draftSelect");
    }

    @Override
    public void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails) {
        throw new UnsupportedOperationException("topLogProbs");
    }

    @Override
    public void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        throw new UnsupportedOperationException("chainAttention");
    }

    @Override
    public void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut, Tensor[] dSteps, int rows) {
        throw new UnsupportedOperationException("chainAttentionBackward");
    }

    @Override
    public void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        throw new UnsupportedOperationException("embeddingBackward");
    }

    @Override
    public void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows) {
        throw new UnsupportedOperationException("rmsNormBackward");
    }

    @Override
    public void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        throw new UnsupportedOperationException("linearBackwardInput");
    }

    @Override
    public void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        throw new UnsupportedOperationException("linearBackwardWeight");
    }

    @Override
    public void qkNormRopeBackward(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift, Tensor rope, Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows) {
        throw new UnsupportedOperationException("qkNormRopeBackward");
    }

    @Override
    public void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows) {
        throw new UnsupportedOperationException("swigluBackward");
    }

    @Override
    public void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows) {
        throw new UnsupportedOperationException("logProbs");
    }

    @Override
    public void logProbsBackward(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows) {
        throw new UnsupportedOperationException("logProbsBackward");
    }

    @Override
    public void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor weights, Tensor losses, int rows) {
        throw new UnsupportedOperationException("klDistill");
    }

    @Override
    public double squaredNorm(Tensor x) {
        throw new UnsupportedOperationException("squaredNorm");
    }

    @Override
    public void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps, float weightDecay, int step, float gradientScale) {
        throw new UnsupportedOperationException("adamW");
    }

    @Override
    public void close() {
        pool.close();
    }
}

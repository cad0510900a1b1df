package org.respec.kernels.cpu;

import org.respec.bindings.blas.OpenBlas;
import org.respec.bindings.memory.HostArena;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** The operators on the host's cores. */
public final class CpuOps implements Ops {
    private final WorkerPool pool;
    private final String note;
    private final HostArena scratch = new HostArena("cpu scratch");
    private final CpuElementwise elementwise;
    private final CpuLinear linear;
    private final CpuRope rotary;
    private final CpuAttention attention;
    private final CpuSampling sampling;
    private final CpuSpeculation speculation;
    private final CpuLosses distillation;
    private final CpuDenseLosses denseDistillation;
    private final CpuPolicyLoss policyLoss;
    private final CpuUpdate update;

    /** Operators on {@code threads} threads, the caller included. */
    public CpuOps(int threads) {
        this(threads, "");
    }

    /** @param note added to {@link #device}: why this was chosen */
    public CpuOps(int threads, String note) {
        this.note = note;
        pool = new WorkerPool(threads);
        elementwise = new CpuElementwise(pool);
        linear = new CpuLinear(pool, scratch);
        rotary = new CpuRope(pool);
        attention = new CpuAttention(pool);
        sampling = new CpuSampling(pool);
        speculation = new CpuSpeculation();
        distillation = new CpuLosses(pool);
        denseDistillation = new CpuDenseLosses(pool);
        policyLoss = new CpuPolicyLoss(sampling, elementwise);
        update = new CpuUpdate(pool, OpenBlas.load());
    }

    @Override
    public String device() {
        String threads = pool.threads() == 1 ? " thread, " : " threads, ";
        return "cpu, " + pool.threads() + threads + PanelKernel.SPECIES.vectorBitSize() + "-bit vectors" + note;
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
        elementwise.fill(x, value);
    }

    @Override
    public void copy(Tensor src, Tensor dst, int rows) {
        elementwise.copy(src, dst, rows);
    }

    @Override
    public void convert(Tensor src, Tensor dst, int rows) {
        elementwise.convert(src, dst, rows);
    }

    @Override
    public void add(Tensor x, Tensor y, int rows) {
        elementwise.add(x, y, rows);
    }

    @Override
    public void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count) {
        elementwise.copyRows(src, srcRows, dst, dstRows, count);
    }

    @Override
    public void embedding(Tensor table, Tensor tokens, Tensor out, int rows) {
        elementwise.embedding(table, tokens, out, rows);
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, int rows) {
        elementwise.rmsNorm(x, weight, eps, out, rows);
    }

    @Override
    public void copyRmsNorm(Tensor x, Tensor weight, float eps, Tensor copy, Tensor copyRows, Tensor out, int rows) {
        elementwise.copyRmsNorm(x, weight, eps, copy, copyRows, out, rows);
    }

    @Override
    public PackedMatrix pack(TensorArena arena, Tensor weight) {
        return linear.pack(arena, weight);
    }

    @Override
    public void repack(Tensor weight, PackedMatrix packed) {
        linear.repack(weight, packed);
    }

    @Override
    public void linear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        linear.linear(x, w, y, accumulate, rows);
    }

    @Override
    public void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions,
            int shift, Tensor rope, Tensor out, int rows) {
        rotary.qkNormRope(qkv, shape, qWeight, kWeight, eps, positions, shift, rope, out, rows);
    }

    @Override
    public void qkNormRopeAppend(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor rope, KvStore kv,
            int layer, RowBatch batch, int rows) {
        rotary.qkNormRopeAppend(qkv, shape, qWeight, kWeight, eps, rope, kv, layer, batch, rows);
    }

    @Override
    public void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows) {
        attention.kvAppend(qkv, shape, kv, layer, batch, rows);
    }

    @Override
    public void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out,
            int rows) {
        attention.treeAttention(qkv, shape, kv, layer, batch, requests, out, rows);
    }

    @Override
    public void swiglu(Tensor gateUp, Tensor out, int rows) {
        elementwise.swiglu(gateUp, out, rows);
    }

    @Override
    public void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        attention.kvMove(kv, fromSlots, toSlots, count);
    }

    @Override
    public void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        attention.kvCopyPages(kv, fromPages, toPages, count);
    }

    @Override
    public void sample(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows) {
        sampling.sample(logits, batch, params, seed, tokens, logProbs, rows);
    }

    @Override
    public void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        speculation.verifyTrees(batch, sampled, trees, requests, result);
    }

    @Override
    public void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params,
            long seed, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        speculation.draftExpand(logits, rowsPerRequest, level, branch, sharpness, params, seed, rootPositions, trees, requests,
            next, draftKv);
    }

    @Override
    public void draftBudgets(TreeBatch trees, int requests, int total, int each) {
        speculation.draftBudgets(trees, requests, total, each);
    }

    @Override
    public void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify,
            KvStore kv) {
        speculation.draftSelect(rootTokens, rootPositions, trees, requests, verify, kv);
    }

    @Override
    public void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs,
            Tensor tails) {
        sampling.topLogProbs(logits, temperature, rowIndices, count, ids, logProbs, tails);
    }

    @Override
    public void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        attention.chainAttention(steps, depth, shape, spans, sequences, out, rows);
    }

    @Override
    public void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
            Tensor[] dSteps, int rows) {
        attention.chainAttentionBackward(steps, depth, shape, spans, sequences, dOut, dSteps, rows);
    }

    @Override
    public void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        elementwise.embeddingBackward(dOut, tokens, dTable, rows);
    }

    @Override
    public void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight,
            int rows) {
        elementwise.rmsNormBackward(x, weight, eps, dOut, dX, accumulate, dWeight, rows);
    }

    @Override
    public void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        update.linearBackwardInput(dY, weight, dX, accumulate, rows);
    }

    @Override
    public void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        update.linearBackwardWeight(dY, x, dWeight, rows);
    }

    @Override
    public void qkNormRopeBackward(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions,
            int shift, Tensor rope, Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows) {
        rotary.qkNormRopeBackward(qkv, shape, qWeight, kWeight, eps, positions, shift, rope, dOut, dQkv, dQWeight, dKWeight, rows);
    }

    @Override
    public void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows) {
        elementwise.swigluBackward(gateUp, dOut, dGateUp, rows);
    }

    @Override
    public void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows) {
        sampling.logProbs(logits, targets, temperature, out, rows);
    }

    @Override
    public void logProbsBackward(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows) {
        sampling.logProbsBackward(logits, targets, temperature, coefficients, rows);
    }

    @Override
    public void policyLoss(Tensor logits, Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, Tensor gradient,
                           int rows) {
        policyLoss.policyLoss(logits, targets, temperature, terms, logProbs, gradient, rows);
    }

    @Override
    public void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight,
            Tensor weights, Tensor losses, int rows) {
        distillation.klDistill(logits, temperature, ids, logProbs, tails, idMap, tvWeight, weights, losses, rows);
    }

    @Override
    public void klDistillDense(Tensor logits, float temperature, Tensor teacher, float teacherTemperature, Tensor columns,
            Tensor weights, Tensor losses, int rows) {
        denseDistillation.klDistillDense(logits, temperature, teacher, teacherTemperature, columns, weights, losses, rows);
    }

    @Override
    public double squaredNorm(Tensor x) {
        return update.squaredNorm(x);
    }

    @Override
    public void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1,
            float beta2, float eps, float weightDecay, int step, float gradientScale) {
        update.adamW(weights, gradients, first, second, learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
    }

    @Override
    public void close() {
        pool.close();
        policyLoss.close();
        update.close();
        scratch.close();
    }
}

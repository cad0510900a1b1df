package org.respec.engine.device;

import java.lang.foreign.MemorySegment;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Spans;
import org.respec.kernels.Storage;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/**
 * The CPU's operators behind a wall like a GPU's: the sides of a mirror are two tensors, only {@link #push} and {@link #pull} carry
 * anything across, device tensors cannot be read by the host, and operators refuse tensors of the host. An engine that forgets a
 * transfer computes something else than on the CPU alone.
 */
public final class SplitOps implements Ops {
    private final Ops cpu;

    public SplitOps(int threads) {
        cpu = Backends.open("cpu", threads);
    }

    /** Device memory, as far as the host is concerned. */
    private record DeviceStorage(Storage inner) implements Storage {
        @Override
        public long bytes() {
            return inner.bytes();
        }

        @Override
        public MemorySegment host() {
            throw new IllegalStateException("the host reads a tensor of the device");
        }

        @Override
        public long address() {
            return inner.address();
        }
    }

    private record SplitArena(TensorArena inner) implements TensorArena {
        @Override
        public Tensor allocate(DType dtype, int rows, int cols) {
            Tensor tensor = inner.allocate(dtype, rows, cols);
            return new Tensor(dtype, rows, cols, tensor.rowStride(), tensor.offset(), new DeviceStorage(tensor.storage()));
        }

        @Override
        public HostMirror mirror(DType dtype, int rows, int cols) {
            return new HostMirror(inner.allocate(dtype, rows, cols), allocate(dtype, rows, cols));
        }

        @Override
        public long bytes() {
            return inner.bytes();
        }

        @Override
        public void close() {
            inner.close();
        }
    }

    /** The tensor as the CPU's operators take it. */
    private static Tensor on(Tensor tensor) {
        if (tensor == null) {
            return null;
        }
        if (!(tensor.storage() instanceof DeviceStorage device)) {
            throw new IllegalArgumentException("an operator was given " + tensor + " of the host");
        }
        return new Tensor(tensor.dtype(), tensor.rows(), tensor.cols(), tensor.rowStride(), tensor.offset(), device.inner);
    }

    private static Tensor[] on(Tensor[] tensors) {
        Tensor[] inner = new Tensor[tensors.length];
        for (int i = 0; i < inner.length; i++) {
            inner[i] = on(tensors[i]);
        }
        return inner;
    }

    @Override
    public String device() {
        return cpu.device() + ", split";
    }

    @Override
    public TensorArena arena(String name) {
        return new SplitArena(cpu.arena(name));
    }

    @Override
    public void push(HostMirror mirror, long elements) {
        MemorySegment.copy(mirror.host().host(), 0, on(mirror.device()).host(), 0, elements * mirror.host().dtype().bytes());
    }

    @Override
    public void pull(HostMirror mirror, long elements) {
        MemorySegment.copy(on(mirror.device()).host(), 0, mirror.host().host(), 0, elements * mirror.host().dtype().bytes());
    }

    @Override
    public void synchronize() {
        cpu.synchronize();
    }

    @Override
    public PackedMatrix pack(TensorArena arena, Tensor weight) {
        return cpu.pack(((SplitArena) arena).inner, on(weight));
    }

    @Override
    public double squaredNorm(Tensor x) {
        return cpu.squaredNorm(on(x));
    }

    @Override
    public void fill(Tensor x, float value) {
        cpu.fill(on(x), value);
    }

    @Override
    public void copy(Tensor src, Tensor dst, int rows) {
        cpu.copy(on(src), on(dst), rows);
    }

    @Override
    public void convert(Tensor src, Tensor dst, int rows) {
        cpu.convert(on(src), on(dst), rows);
    }

    @Override
    public void add(Tensor x, Tensor y, int rows) {
        cpu.add(on(x), on(y), rows);
    }

    @Override
    public void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count) {
        cpu.copyRows(on(src), on(srcRows), on(dst), on(dstRows), count);
    }

    @Override
    public void embedding(Tensor table, Tensor tokens, Tensor out, int rows) {
        cpu.embedding(on(table), on(tokens), on(out), rows);
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, int rows) {
        cpu.rmsNorm(on(x), on(weight), eps, on(out), rows);
    }

    @Override
    public void repack(Tensor weight, PackedMatrix packed) {
        cpu.repack(on(weight), packed);
    }

    @Override
    public void linear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        cpu.linear(on(x), w, on(y), accumulate, rows);
    }

    @Override
    public void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
            Tensor rope, Tensor out, int rows) {
        cpu.qkNormRope(on(qkv), shape, on(qWeight), on(kWeight), eps, on(positions), shift, on(rope), on(out), rows);
    }

    @Override
    public void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows) {
        cpu.kvAppend(on(qkv), shape, kv, layer, batch, rows);
    }

    @Override
    public void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out,
            int rows) {
        cpu.treeAttention(on(qkv), shape, kv, layer, batch, requests, on(out), rows);
    }

    @Override
    public void swiglu(Tensor gateUp, Tensor out, int rows) {
        cpu.swiglu(on(gateUp), on(out), rows);
    }

    @Override
    public void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        cpu.kvMove(kv, fromSlots, toSlots, count);
    }

    @Override
    public void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        cpu.kvCopyPages(kv, fromPages, toPages, count);
    }

    @Override
    public void sample(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows) {
        cpu.sample(on(logits), batch, params, seed, on(tokens), on(logProbs), rows);
    }

    @Override
    public void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result) {
        cpu.verifyTrees(batch, on(sampled), trees, requests, result);
    }

    @Override
    public void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed,
            HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        cpu.draftExpand(on(logits), rowsPerRequest, level, branch, sharpness, params, seed, rootPositions, trees, requests, next,
            draftKv);
    }

    @Override
    public void draftBudgets(TreeBatch trees, int requests, int total, int each) {
        cpu.draftBudgets(trees, requests, total, each);
    }

    @Override
    public void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        cpu.draftSelect(rootTokens, rootPositions, trees, requests, verify, kv);
    }

    @Override
    public void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails) {
        cpu.topLogProbs(on(logits), temperature, on(rowIndices), count, on(ids), on(logProbs), on(tails));
    }

    @Override
    public void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        cpu.chainAttention(on(steps), depth, shape, spans, sequences, on(out), rows);
    }

    @Override
    public void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
            Tensor[] dSteps, int rows) {
        cpu.chainAttentionBackward(on(steps), depth, shape, spans, sequences, on(dOut), on(dSteps), rows);
    }

    @Override
    public void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        cpu.embeddingBackward(on(dOut), on(tokens), on(dTable), rows);
    }

    @Override
    public void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows) {
        cpu.rmsNormBackward(on(x), on(weight), eps, on(dOut), on(dX), accumulate, on(dWeight), rows);
    }

    @Override
    public void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        cpu.linearBackwardInput(on(dY), on(weight), on(dX), accumulate, rows);
    }

    @Override
    public void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        cpu.linearBackwardWeight(on(dY), on(x), on(dWeight), rows);
    }

    @Override
    public void qkNormRopeBackward(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions,
            int shift, Tensor rope, Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows) {
        cpu.qkNormRopeBackward(on(qkv), shape, on(qWeight), on(kWeight), eps, on(positions), shift, on(rope), on(dOut), on(dQkv),
            on(dQWeight), on(dKWeight), rows);
    }

    @Override
    public void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows) {
        cpu.swigluBackward(on(gateUp), on(dOut), on(dGateUp), rows);
    }

    @Override
    public void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows) {
        cpu.logProbs(on(logits), on(targets), temperature, on(out), rows);
    }

    @Override
    public void logProbsBackward(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows) {
        cpu.logProbsBackward(on(logits), on(targets), temperature, on(coefficients), rows);
    }

    @Override
    public void policyLoss(Tensor logits, Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, Tensor gradient,
                           int rows) {
        PolicyTerms inner = new PolicyTerms(on(terms.weights()), on(terms.advantages()), on(terms.old()), on(terms.reference()),
            on(terms.rollout()), terms.clipLow(), terms.clipHigh(), terms.klCoefficient(), terms.cap());
        cpu.policyLoss(on(logits), on(targets), temperature, inner, on(logProbs), on(gradient), rows);
    }

    @Override
    public void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight,
            Tensor weights, Tensor losses, int rows) {
        cpu.klDistill(on(logits), temperature, on(ids), on(logProbs), on(tails), on(idMap), tvWeight, on(weights), on(losses), rows);
    }

    @Override
    public void klDistillDense(Tensor logits, float temperature, Tensor teacher, float teacherTemperature, Tensor columns,
            Tensor weights, Tensor losses, int rows) {
        cpu.klDistillDense(on(logits), temperature, on(teacher), teacherTemperature, on(columns), on(weights), on(losses), rows);
    }

    @Override
    public void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2,
            float eps, float weightDecay, int step, float gradientScale) {
        cpu.adamW(on(weights), on(gradients), on(first), on(second), learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
    }

    @Override
    public void close() {
        cpu.close();
    }
}

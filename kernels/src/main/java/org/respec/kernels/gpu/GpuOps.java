package org.respec.kernels.gpu;

import java.util.Set;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuStream;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.OwnMemory;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Replay;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Spans;
import org.respec.kernels.StageClock;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.VerifyResult;

/** The operators as CUDA kernels, through any {@link GpuDriver}. */
public final class GpuOps implements Ops {
    /** More than a step's batch views and page table take, so that a steady decode loop never waits for it. */
    private static final long STAGING_BYTES = 4 << 20;

    private final GpuContext gpu;
    private final Staging staging;
    private final GpuElementwise elementwise;
    private final GpuRope rotary;
    private final GpuUpdate update;
    private final GpuLinear linear;
    private final GpuCache cache;
    private final GpuTreeAttention treeAttention;
    private final GpuChainAttention chainAttention;
    private final GpuSampling sampling;
    private final GpuSpeculation speculation;
    private final GpuLosses distillation;
    private final NoiseFieldKernel noise;
    private boolean graphs = true;
    private boolean fastProducts;

    /** Operators on a driver, which the last of these and of all {@link #beside} them closes. */
    public GpuOps(GpuDriver driver) {
        this(new GpuContext(driver));
    }

    private GpuOps(GpuContext gpu) {
        this.gpu = gpu;
        staging = new Staging(gpu.driver(), gpu.stream(), STAGING_BYTES);
        elementwise = new GpuElementwise(gpu);
        rotary = new GpuRope(gpu);
        update = new GpuUpdate(gpu);
        linear = new GpuLinear(gpu);
        cache = new GpuCache(gpu);
        treeAttention = new GpuTreeAttention(gpu);
        chainAttention = new GpuChainAttention(gpu);
        sampling = new GpuSampling(gpu);
        speculation = new GpuSpeculation(gpu);
        distillation = new GpuLosses(gpu);
        noise = new NoiseFieldKernel(gpu);
    }

    /**
     * Operators on the same device and memory for another thread, with a stream, staging, faults and workspaces of their own: their work
     * and this one's run side by side, this one's first where both could. They record no graphs. Whoever hands data from one to the other
     * synchronises between.
     */
    public GpuOps beside() {
        GpuShare share = gpu.share();
        share.join();
        boolean built = false;
        try {
            GpuOps beside = new GpuOps(new GpuContext(share, share.driver().stream()));
            beside.fastProducts = fastProducts;
            // Whoever is beside decodes nothing, and nobody plans for its graphs.
            beside.graphs = false;
            built = true;
            return beside;
        } finally {
            if (!built) {
                share.leave();
            }
        }
    }

    /** The driver below, for events and memory of one's own. */
    public GpuDriver driver() {
        return gpu.driver();
    }

    /** Kernels that these operators and those beside them have launched so far. */
    public Set<KernelSpec> loaded() {
        return gpu.share().loaded();
    }

    /** The stream that all operators run in. */
    public GpuStream stream() {
        return gpu.stream();
    }

    GpuContext context() {
        return gpu;
    }

    @Override
    public String device() {
        return driver().device().name() + ", " + driver().device().architecture();
    }

    @Override
    public String uuid() {
        return driver().device().uuid();
    }

    @Override
    public TensorArena arena(String name) {
        return new GpuArena(gpu, name);
    }

    @Override
    public void push(HostMirror mirror, long elements) {
        transfer("push", mirror, elements, true);
    }

    @Override
    public void pull(HostMirror mirror, long elements) {
        transfer("pull", mirror, elements, false);
        gpu.faults().check(gpu.stream());
    }

    @Override
    public void startPull(HostMirror mirror, long elements) {
        transfer("startPull", mirror, elements, false);
    }

    private void transfer(String operator, HostMirror mirror, long elements, boolean in) {
        if (gpu.isRecording()) {
            throw new IllegalStateException(operator + ": work that is recorded must not copy from or to the host");
        }
        Tensor host = mirror.host();
        Tensor device = mirror.device();
        if (elements < 0 || elements > host.size() || !host.contiguous() || !device.contiguous()) {
            throw new IllegalArgumentException(operator + ": " + elements + " elements of " + host);
        }
        int size = host.dtype().bytes();
        var memory = ((GpuStorage) device.storage()).memory();
        if (elements > 0 && in) {
            staging.copyIn(host.storage().host(), host.offset() * size, memory, device.offset() * size, elements * size);
        } else if (elements > 0) {
            gpu.stream().copyOut(memory, device.offset() * size, host.storage().host(), host.offset() * size, elements * size);
        }
    }

    @Override
    public void synchronize() {
        gpu.faults().check(gpu.stream());
    }

    /** Graphs, unless {@link #useGraphs} has turned them off. */
    @Override
    public Replay replay(String name) {
        return graphs ? new GraphReplay(gpu, name) : Ops.super.replay(name);
    }

    @Override
    public StageClock stageClock() {
        return new GpuStageClock(gpu);
    }

    @Override
    public boolean usesGraphs() {
        return graphs;
    }

    /** Whether what {@link #replay} makes from now on records graphs; it does until this says otherwise. */
    public void useGraphs(boolean use) {
        graphs = use;
    }

    /**
     * Whether {@link #fastLinear} gives products of BF16 to cuBLAS, here and in what is {@link #beside} from now on; it does not until
     * this says so. The emulator has nothing to gain by it.
     */
    public void useFastProducts(boolean use) {
        fastProducts = use;
    }

    @Override
    public boolean stores(DType dtype) {
        return dtype == DType.F32 || dtype == DType.BF16;
    }

    @Override
    public long freeBytes() {
        return driver().freeBytes();
    }

    @Override
    public long allocationBytes(long bytes) {
        return driver().allocationBytes(bytes);
    }

    @Override
    public OwnMemory ownMemory() {
        return new OwnMemory(driver().blasBytes(), 2 * STAGING_BYTES, HostMoments.BYTES, graphs ? gpu.graphs().budget() : 0);
    }

    @Override
    public void convert(Tensor src, Tensor dst, int rows) {
        elementwise.convert(src, dst, rows);
    }

    @Override
    public PackedMatrix share(TensorArena arena, Tensor weight) {
        return linear.share(weight);
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
    public void fastLinear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        if (fastProducts && x.dtype() == DType.BF16) {
            linear.fastLinear(x, w, y, accumulate, rows);
        } else {
            linear(x, w, y, accumulate, rows);
        }
    }

    @Override
    public void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
            Tensor rope, Tensor out, int rows) {
        rotary.qkNormRope(qkv, shape, qWeight, kWeight, eps, positions, shift, rope, out, rows);
    }

    @Override
    public void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows) {
        cache.kvAppend(qkv, shape, kv, layer, batch, rows);
    }

    @Override
    public void qkNormRopeAppend(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor rope, KvStore kv,
            int layer, RowBatch batch, int rows) {
        rotary.qkNormRopeAppend(qkv, shape, qWeight, kWeight, eps, rope, kv, layer, batch, rows);
    }

    @Override
    public void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows) {
        treeAttention.treeAttention(qkv, shape, kv, layer, batch, requests, out, rows);
    }

    @Override
    public void swiglu(Tensor gateUp, Tensor out, int rows) {
        elementwise.swiglu(gateUp, out, rows);
    }

    @Override
    public void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        cache.kvMove(kv, fromSlots, toSlots, count);
    }

    @Override
    public void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        cache.kvCopyPages(kv, fromPages, toPages, count);
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
    public void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed,
            HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv) {
        speculation.draftExpand(logits, rowsPerRequest, level, branch, sharpness, params, seed, rootPositions, trees, requests, next,
            draftKv);
    }

    @Override
    public void draftBudgets(TreeBatch trees, int requests, int total, int each) {
        speculation.draftBudgets(trees, requests, total, each);
    }

    @Override
    public void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv) {
        speculation.draftSelect(rootTokens, rootPositions, trees, requests, verify, kv);
    }

    /** The noise of tokens 0 and on as the kernels compute it, for checks: {@code noise} is F32 [1 x tokens]. */
    public void noiseField(long seed, long request, int position, Tensor noise) {
        this.noise.field(seed, request, position, noise);
    }

    /**
     * The variates of Philox output words as the kernels compute them, and whether the bounds hold that sampling prunes by: for checks.
     *
     * @param words I32 [1 x n]
     * @param noise F32 [1 x n] out
     * @param sound I32 [1 x n] out: 7 where all bounds hold ({@code noise_field.cu})
     */
    public void noiseOfWords(Tensor words, Tensor noise, Tensor sound) {
        this.noise.ofWords(words, noise, sound);
    }

    @Override
    public void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails) {
        sampling.topLogProbs(logits, temperature, rowIndices, count, ids, logProbs, tails);
    }

    @Override
    public void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        chainAttention.chainAttention(steps, depth, shape, spans, sequences, out, rows);
    }

    @Override
    public void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
            Tensor[] dSteps, int rows) {
        chainAttention.chainAttentionBackward(steps, depth, shape, spans, sequences, dOut, dSteps, rows);
    }

    @Override
    public void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows) {
        elementwise.embeddingBackward(dOut, tokens, dTable, rows);
    }

    @Override
    public void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows) {
        elementwise.rmsNormBackward(x, weight, eps, dOut, dX, accumulate, dWeight, rows);
    }

    @Override
    public void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows) {
        linear.linearBackwardInput(dY, weight, dX, accumulate, rows);
    }

    @Override
    public void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows) {
        linear.linearBackwardWeight(dY, x, dWeight, rows);
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
        distillation.policyLoss(logits, targets, temperature, terms, logProbs, gradient, rows);
    }

    @Override
    public void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight,
            Tensor weights, Tensor losses, int rows) {
        distillation.klDistill(logits, temperature, ids, logProbs, tails, idMap, tvWeight, weights, losses, rows);
    }

    @Override
    public void klDistillDense(Tensor logits, float temperature, Tensor teacher, float teacherTemperature, Tensor columns,
            Tensor weights, Tensor losses, int rows) {
        distillation.klDistillDense(logits, temperature, teacher, teacherTemperature, columns, weights, losses, rows);
    }

    @Override
    public double squaredNorm(Tensor x) {
        return update.squaredNorm(x);
    }

    @Override
    public void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2,
            float eps, float weightDecay, int step, float gradientScale) {
        adamWConvert(weights, null, gradients, first, second, learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
    }

    @Override
    public void adamWConvert(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1,
            float beta2, float eps, float weightDecay, int step, float gradientScale) {
        update.adamW(weights, copy, gradients, first, second,
            new AdamwKernel.Step(learningRate, beta1, beta2, eps, weightDecay, step, gradientScale));
    }

    @Override
    public void close() {
        // A dead device refuses all of this, yet the driver must let go of it.
        try {
            gpu.stream().synchronize();
            staging.close();
            linear.close();
            update.close();
            gpu.close();
        } finally {
            gpu.share().leave();
        }
    }
}

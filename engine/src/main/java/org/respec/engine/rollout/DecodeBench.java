package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.respec.engine.BadInput;
import org.respec.engine.HostMemory;
import org.respec.engine.model.Actor;
import org.respec.engine.model.DeviceInitializer;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TensorSpec;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.OutOfDeviceMemory;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;

/**
 * Times the engine's own decode steps at a model's shape, with random weights, over a context that is there but was never computed,
 * and with an acceptance that is set and not drawn. Memory is planned, and refused, before it is taken.
 */
public final class DecodeBench implements AutoCloseable {
    private static final long SEED = 20261124;
    private static final int PAGE_SIZE = 16;
    private static final int COPY_ROUNDS = 9;
    private static final int STAGED_STEPS = 12;

    /**
     * What to time.
     *
     * @param batch live requests, all with a context of {@code context} tokens
     * @param acceptance share of trees whose level d is accepted after level d - 1 was; the last holds for deeper levels
     * @param warmUp steps that do not count
     * @param steps steps that count
     */
    public record Setting(int batch, SpeculationPlan plan, double[] acceptance, int context, int warmUp, int steps) {
    }

    /**
     * What came of it.
     *
     * @param stepSeconds median of a step, undisturbed
     * @param stageSeconds mean by stage of steps that waited after every stage, so that together they take longer than a step
     * @param tokensPerStep mean gained by a request
     * @param weightBytes of the weights that a step has to read
     * @param hostShare share of the time in which the host was not waiting for the device
     */
    public record Result(Setting setting, double stepSeconds, Map<String, Double> stageSeconds, double tokensPerStep,
        double tokensPerSecond,
                         long weightBytes, double hostShare) {
        public double weightBytesPerSecond() {
            return weightBytes / stepSeconds;
        }
    }

    private final Ops ops;
    private final DType dtype;
    private final ModelConfig config;
    private final DrafterConfig draftConfig;
    private final Actor actor;
    private final Drafter drafter;

    /**
     * @param dtype of weights, activations and caches
     * @throws BadInput if the weights do not fit the memory that is free, or the device does not store their type
     */
    public DecodeBench(Ops ops, DType dtype, ModelConfig config, DrafterConfig draftConfig) {
        this.ops = ops;
        this.dtype = dtype;
        LoadedModel.requireStored(ops, dtype);
        this.config = config;
        this.draftConfig = draftConfig;
        long elements = TensorSpec.elements(config.tensors()) + TensorSpec.elements(draftConfig.tensors());
        require("the weights of actor and drafter", Math.multiplyExact(elements, LoadedModel.bytesEach(dtype, dtype)));
        ParameterSet weights = new ParameterSet(ops, "actor weights", config.tensors(), dtype);
        DeviceInitializer.fill(ops, weights, config.numHiddenLayers(), SEED);
        actor = new Actor(ops, config, weights, dtype);
        actor.publish();
        ParameterSet draftWeights = new ParameterSet(ops, "drafter weights", draftConfig.tensors(), dtype);
        DeviceInitializer.fill(ops, draftWeights, 1, SEED + 1);
        drafter = new Drafter(ops, draftConfig, draftWeights, actor);
        drafter.publish();
    }

    /** The actor, for what else is to be timed with weights that mean nothing. */
    public Actor actor() {
        return actor;
    }

    /** Its drafter. */
    public Drafter drafter() {
        return drafter;
    }

    private void require(String what, long bytes) {
        long free = HostMemory.freeBytes(ops);
        if (bytes > 0.95 * free) {
            throw new BadInput(String.format(Locale.ROOT,
                "%s take %.1f GB, but of %s only %.1f GB are free; choose a smaller shape, batch or context.", what,
                bytes * 1e-9, ops.device(), free * 1e-9));
        }
    }

    /**
     * Bytes read and written per second by a plain copy of {@code bytes}: the median of some rounds, by the host's clock. For operators
     * that compute on the calling thread; a GPU has events.
     */
    public static double copyBytesPerSecond(Ops ops, long bytes) {
        int cols = 1024;
        int rows = Math.toIntExact(bytes / (4L * cols));
        try (TensorArena arena = ops.arena("copy ceiling")) {
            Tensor from = arena.allocate(DType.F32, rows, cols);
            Tensor to = arena.allocate(DType.F32, rows, cols);
            DeviceInitializer.fill(ops, from, 1, SEED);
            ops.copy(from, to, rows);
            double[] seconds = new double[COPY_ROUNDS];
            for (int i = 0; i < COPY_ROUNDS; i++) {
                ops.synchronize();
                long start = System.nanoTime();
                ops.copy(from, to, rows);
                ops.copy(to, from, rows);
                ops.synchronize();
                seconds[i] = (System.nanoTime() - start) * 1e-9 / 2;
            }
            return 2.0 * 4 * rows * cols / median(seconds);
        }
    }

    /**
     * Times one setting.
     *
     * @throws BadInput if it does not fit the memory or the model's positions
     */
    public Result run(Setting s) {
        try {
            return time(s);
        } catch (OutOfDeviceMemory | ArithmeticException e) {
            throw new BadInput(String.format(Locale.ROOT,
                "%d requests with %d tokens and speculation %s do not fit %s (%s); choose a smaller shape, batch or context.",
                s.batch(), s.context(), s.plan(), ops.device(), e.getMessage()), e);
        }
    }

    private Result time(Setting s) {
        RolloutLimits limits = limits(s, s.warmUp() + s.steps());
        require(String.format(Locale.ROOT, "caches and workspaces of %d requests with %d tokens and speculation %s", s.batch(), s.context(),
            s.plan()), workspaceBytes(limits, s.plan()));
        StepProbe whole = new StepProbe(ops, false);
        List<Double> seconds = new ArrayList<>();
        Counts counts = new Counts(s.plan());
        steps(whole, s, limits, counts, s.warmUp(), s.steps(), seconds);
        double total = seconds.stream().mapToDouble(Double::doubleValue).sum();

        int count = Math.min(s.steps(), STAGED_STEPS);
        StepProbe staged = new StepProbe(ops, true);
        steps(staged, s, limits(s, s.warmUp() + count), new Counts(s.plan()), s.warmUp(), count, new ArrayList<>());
        Map<String, Double> stages = new LinkedHashMap<>();
        for (StepProbe.Stage stage : StepProbe.Stage.values()) {
            stages.put(stage.name().toLowerCase(Locale.ROOT), staged.seconds(stage) / count);
        }
        return new Result(s, median(seconds.stream().mapToDouble(Double::doubleValue).toArray()), stages,
            (double) counts.tokens / ((long) s.steps() * s.batch()), counts.tokens / total, weightBytes(s.plan()),
            1 - whole.waitSeconds() / total);
    }

    private void steps(StepProbe probe, Setting s, RolloutLimits limits, Counts counts, int warmUp, int count, List<Double> seconds) {
        boolean off = s.plan().isOff();
        List<PromptGroup> prompts = new ArrayList<>();
        for (int r = 0; r < s.batch(); r++) {
            int[] prompt = new int[s.context()];
            for (int i = 0; i < prompt.length; i++) {
                prompt[i] = (int) ((i * 7L + r * 13L + 1) % config.vocabSize());
            }
            prompts.add(new PromptGroup(prompt, 1, r));
        }
        try (RolloutEngine engine = new RolloutEngine(probe.ops(), actor, off ? null : drafter, limits, SamplingParams.temperature(1f),
            SEED, new StopRule(List.of(), List.of()), counts, !off, 1f)) {
            engine.impose(new ImposedAcceptance(s.acceptance()));
            engine.begin(prompts);
            // Admits all requests. What their contexts hold does not change how long they take to read, so they are not computed.
            probe.skip(true);
            step(probe, engine, s);
            probe.skip(false);
            for (KvStore cache : probe.caches()) {
                // Never zeros, which toggle fewer wires and so run at higher clocks.
                DeviceInitializer.fill(ops, cache.data(), 1, SEED);
            }
            for (int i = 0; i < warmUp; i++) {
                step(probe, engine, s);
            }
            probe.clear();
            counts.tokens = 0;
            for (int i = 0; i < count; i++) {
                seconds.add(step(probe, engine, s));
            }
        }
    }

    private static double step(StepProbe probe, RolloutEngine engine, Setting s) {
        long start = System.nanoTime();
        probe.beginStep(s.plan().isOff() ? StepProbe.Stage.VERIFY : StepProbe.Stage.DRAFT);
        if (!engine.step()) {
            throw new IllegalStateException("all requests ended before the steps were done");
        }
        probe.endStep();
        return (System.nanoTime() - start) * 1e-9;
    }

    private RolloutLimits limits(Setting s, int steps) {
        int perStep = s.plan().isOff() ? 1 : s.plan().depth() + 1;
        int tokens = Math.multiplyExact(steps + 2, perStep);
        int length = Math.addExact(s.context(), tokens) + TreeBatch.MAX_NODES;
        // A request shares its context's pages with its prompt, but for the last; some are spare, since admission keeps a few free.
        int pages = Math.multiplyExact(s.batch(), length / PAGE_SIZE + 6);
        int rows = Math.multiplyExact(s.batch(), s.plan().isOff() ? 1 : s.plan().tokens() + 1);
        return new RolloutLimits(s.batch(), s.context(), tokens, PAGE_SIZE, pages, 0, Math.max(rows, 64));
    }

    /** What an engine of these limits allocates, but for some megabytes. */
    private long workspaceBytes(RolloutLimits limits, SpeculationPlan plan) {
        long h = config.hiddenSize();
        long row = 2 * h + layerRow(h, config.intermediateSize(), actor.shape().fusedWidth(), actor.shape().queryWidth());
        long logits = (long) limits.maxRows() * config.vocabSize();
        long pages = limits.kvPages();
        long kv = pages * PAGE_SIZE * 2L * actor.shape().kvHeads() * actor.shape().headDim() * config.numHiddenLayers();
        long elements = Math.addExact(Math.multiplyExact((long) limits.maxRows(), row), kv);
        if (!plan.isOff()) {
            long batch = limits.maxBatch();
            elements += limits.maxRows() * 3 * h + 2 * batch * limits.maxLength() * 3 * h;
            long draftRow = 7 * h + layerRow(h, draftConfig.intermediateSize(), drafter.shape().fusedWidth(), drafter.shape().queryWidth());
            elements += limits.maxRows() * draftRow + batch * TreeBatch.MAX_BRANCH * 2 * h;
            logits += batch * TreeBatch.MAX_BRANCH * draftConfig.vocabSize();
            elements += (long) limits.draftPages() * PAGE_SIZE * 2 * drafter.shape().kvHeads() * drafter.shape().headDim();
        }
        return Math.addExact(Math.multiplyExact(elements, dtype.bytes()), logits * DType.F32.bytes());
    }

    /** Elements of a row of a layer's workspace. */
    private static long layerRow(long hidden, long intermediate, long fused, long query) {
        return fused + query + hidden + 3 * intermediate;
    }

    /** Every matrix once a pass; of the embedding only rows are read, unless it is the head too. */
    private long weightBytes(SpeculationPlan plan) {
        long actorElements = TensorSpec.elements(config.tensors()) - (config.tieWordEmbeddings() ? 0
            : (long) config.vocabSize() * config.hiddenSize());
        long draftElements = 0;
        if (!plan.isOff()) {
            long fuse = 3L * draftConfig.hiddenSize() * draftConfig.hiddenSize();
            draftElements = fuse + plan.depth() * (TensorSpec.elements(draftConfig.tensors()) - fuse);
        }
        return (actorElements + draftElements) * dtype.bytes();
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    @Override
    public void close() {
        drafter.close();
        actor.close();
    }

    /** Keeps to a plan, insists that the engine does so too, and counts. */
    private static final class Counts implements PlanPolicy {
        private final SpeculationPlan wanted;
        private long tokens;

        Counts(SpeculationPlan wanted) {
            this.wanted = wanted;
        }

        @Override
        public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
            return wanted;
        }

        @Override
        public void observeStep(SpeculationPlan plan, int batch, int rows, int gained, long draftNanos, long verifyNanos) {
            if (!plan.equals(wanted)) {
                throw new IllegalStateException("a step ran plan " + plan + " instead of " + wanted);
            }
            tokens += gained;
        }

        @Override
        public void observeRank(int request, int depth, int rank, int named) {
            // The plan is fixed.
        }
    }
}

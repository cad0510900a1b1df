package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.respec.engine.BadInput;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.distill.ReplayBuffer;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.DrafterTraining;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TensorSpec;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rl.PolicyLoss;
import org.respec.engine.rl.PolicyTrainer;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.Ops;
import org.respec.kernels.OwnMemory;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.SizingOps;

/**
 * What a run takes of a device's memory, part by part, before anything is allocated: the run's own classes are made over operators that
 * only measure. Where that is more than there is, training passes are halved and, with {@code rollout.kv_pages=auto}, the cache is
 * cut; what cannot fit even so is refused in one sentence.
 *
 * @param parts bytes by what they are for
 * @param free bytes the device had
 * @param onHost bytes of the host's memory that is not page-locked, by what they are for; on a device that has no other they are among
 *     {@code parts}
 * @param hostBytes page-locked memory of the host, which the device's copies go through and where {@code train.moments=host} are
 * @param kvPages pages of each rollout engine's cache
 * @param microBatchTokens most tokens of a training pass
 */
public record MemoryPlan(Map<String, Long> parts, long free, Map<String, Long> onHost, long hostBytes, int kvPages,
                         int microBatchTokens) {
    /** Name of the arena that pages of the actor's cache lie in. */
    private static final String PAGES = "actor KV pages";
    private static final String KV = "KV pages";
    private static final String PASSES = "training passes";
    private static final String RESERVE = "kernels' workspaces, kept free";
    private static final String GRAPHS = "graphs of decode steps, kept free";
    private static final String PINNED = "page-locked memory";
    private static final long MOST_RESERVE = 1L << 30;

    /**
     * Plans a run.
     *
     * @param device where it will run, nothing of it allocated yet
     * @param drafter null for none
     * @param prompt longest prompt in tokens
     * @param hostFree bytes that the host has
     * @throws BadInput if it cannot fit, naming what to lower
     */
    static MemoryPlan of(Ops device, RunConfig config, ModelConfig actor, DrafterConfig drafter, DType dtype, int prompt,
                         long hostFree) {
        long free = device.freeBytes();
        Sizes sizes = new Sizes(device, config, actor, drafter, dtype, prompt);
        RolloutLimits limits = sizes.limits;
        long pageBytes = sizes.pageBytes();
        Map<String, Long> fixed = new LinkedHashMap<>();
        long fixedOnHost = sizes.fixed(fixed);
        long reserve = Math.min(MOST_RESERVE, free / 16);
        long graphs = device.ownMemory().graphs();
        long taken = fixed.values().stream().mapToLong(Long::longValue).sum() + reserve + graphs;
        int micro = config.train().microBatchTokens();
        boolean turns = config.rollout().releaseKv();
        while (true) {
            Passes needed = sizes.passes(micro);
            long passes = needed.bytes;
            long left = turns ? free - taken : free - taken - passes;
            int pages = limits.pages();
            if (config.rollout().kvPages() == RunConfig.Rollout.AUTO) {
                pages = (int) Math.clamp(left / (pageBytes * sizes.caches()), limits.leastPages(), pages);
            }
            long kv = pageBytes * pages * sizes.caches();
            boolean fits = kv <= left && (!turns || passes <= free - taken);
            if (fits || micro <= limits.maxLength()) {
                Map<String, Long> parts = new LinkedHashMap<>(fixed);
                parts.put(PASSES, passes);
                parts.put(KV, kv);
                parts.put(RESERVE, reserve);
                if (graphs > 0) {
                    parts.put(GRAPHS, graphs);
                }
                MemoryPlan plan = new MemoryPlan(parts, free, sizes.taught(), fixedOnHost + needed.onHost, pages, micro);
                if (!fits) {
                    throw plan.tooLarge(turns, "set rollout.kv_pages=auto, train.checkpoint_activations=true, rollout.release_kv=true or"
                        + " train.moments=host or bf16, or lower rollout.max_batch, rollout.max_tokens or distill.batch_tokens"
                        + fewerTokens(config));
                }
                plan.requireHost(hostFree);
                return plan;
            }
            micro = Math.max(limits.maxLength(), micro / 2);
        }
    }

    /**
     * Refuses a run that the host's memory is too small for, on a device that has no other. Nothing is cut there, since results may not
     * depend on what happens to be free.
     *
     * @param free bytes that the host has
     * @return what the run takes
     * @throws BadInput naming what to lower
     */
    static MemoryPlan onHost(Ops device, RunConfig config, ModelConfig actor, DrafterConfig drafter, DType dtype, int prompt, long free) {
        Sizes sizes = new Sizes(device, config, actor, drafter, dtype, prompt);
        Map<String, Long> parts = new LinkedHashMap<>();
        sizes.fixed(parts);
        parts.putAll(sizes.taught());
        parts.put(PASSES, sizes.passes(config.train().microBatchTokens()).bytes);
        parts.put(KV, Math.multiplyExact(sizes.pageBytes() * sizes.caches(), sizes.limits.pages()));
        MemoryPlan plan = new MemoryPlan(parts, free, Map.of(), 0, sizes.limits.pages(), config.train().microBatchTokens());
        if (plan.total(config.rollout().releaseKv()) > free) {
            throw plan.tooLarge(config.rollout().releaseKv(), "set train.checkpoint_activations=true or rollout.release_kv=true, or lower"
                + " rollout.max_batch, rollout.max_tokens, train.micro_batch_tokens, distill.batch_tokens or distill.capacity_tokens"
                + fewerTokens(config));
        }
        return plan;
    }

    private BadInput tooLarge(boolean turns, String remedy) {
        return tooLarge(total(turns), "the device's", free, parts, remedy);
    }

    private static BadInput tooLarge(long needed, String whose, long free, Map<String, Long> parts, String remedy) {
        List<String> largest = parts.entrySet().stream().sorted(Map.Entry.<String, Long>comparingByValue().reversed()).limit(3)
            .map(e -> e.getKey() + " " + size(e.getValue())).toList();
        return new BadInput("memory: the run needs " + size(needed) + " of " + whose + " " + size(free) + " that are free ("
            + String.join(", ", largest) + ", ...); " + remedy + ".");
    }

    /** Refuses a run beside whose device the host's memory is too small. */
    private void requireHost(long hostFree) {
        Map<String, Long> all = new LinkedHashMap<>(onHost);
        all.put(PINNED, hostBytes);
        long needed = all.values().stream().mapToLong(Long::longValue).sum();
        if (needed > hostFree) {
            throw tooLarge(needed, "the host's", hostFree, all, "lower distill.capacity_tokens or rollout.max_tokens, or keep"
                + " train.moments on the device");
        }
    }

    private static String fewerTokens(RunConfig config) {
        return config.speculation().mode().equals("fixed") ? ", or give speculation.plan fewer tokens" : "";
    }

    /** Bytes at the fullest moment: pages and passes together, or by turns the larger of the two. */
    private long total(boolean turns) {
        long all = parts.values().stream().mapToLong(Long::longValue).sum();
        return turns ? all - Math.min(parts.get(KV), parts.get(PASSES)) : all;
    }

    /** A line for each part. */
    public List<String> table() {
        List<String> lines = new ArrayList<>();
        lines.add("memory planned of " + size(free) + " free:");
        parts.forEach((name, bytes) -> lines.add(line(name, bytes)));
        lines.add(line("and page-locked on the host", hostBytes));
        onHost.forEach((name, bytes) -> lines.add(line("and on the host: " + name, bytes)));
        return lines;
    }

    private static String line(String name, long bytes) {
        return String.format(Locale.ROOT, "  %-44s %10s", name, size(bytes));
    }

    ObjectNode toJson() {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        ObjectNode bytes = json.putObject("bytes");
        parts.forEach(bytes::put);
        json.put("free", free);
        json.put("host_bytes", hostBytes);
        ObjectNode host = json.putObject("host");
        onHost.forEach(host::put);
        json.put("kv_pages", kvPages);
        json.put("micro_batch_tokens", microBatchTokens);
        return json;
    }

    private static String size(long bytes) {
        return bytes >= 1L << 30 ? String.format(Locale.ROOT, "%.2f GiB", bytes / (double) (1L << 30))
            : String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1L << 20));
    }

    /** What training passes take of the device and of the host. */
    private record Passes(long bytes, long onHost) {
    }

    /** The run's parts, made over operators that measure; what they do with files and threads is left out. */
    private static final class Sizes {
        private final Ops device;
        private final RunConfig config;
        private final ModelConfig actorConfig;
        private final DrafterConfig drafterConfig;
        private final DType dtype;
        private final RolloutLimits limits;

        Sizes(Ops device, RunConfig config, ModelConfig actorConfig, DrafterConfig drafterConfig, DType dtype, int prompt) {
            this.device = device;
            this.config = config;
            this.actorConfig = actorConfig;
            this.drafterConfig = drafterConfig;
            this.dtype = dtype;
            this.limits = limits(config, actorConfig, prompt);
        }

        /** Caches that are full at the same time: rollout's and the closing comparison's, and evaluation's if it has one of its own. */
        int caches() {
            return config.eval().temperature() == null || config.rollout().releaseKv() ? 2 : 3;
        }

        /** Bytes of one page of one cache. */
        long pageBytes() {
            return new KvLayout(dtype, actorConfig.numHiddenLayers(), actorConfig.numKeyValueHeads(), actorConfig.headDim(),
                limits.pageSize(), 1).bytes();
        }

        private Actor actor(Ops ops, DType kept) {
            return new Actor(ops, actorConfig, new ParameterSet(ops, "actor", actorConfig.tensors(), kept), dtype);
        }

        /**
         * All but pages and training passes, and what the run's own operators took when they were opened, into {@code parts}; returns
         * what they take of the host.
         */
        long fixed(Map<String, Long> parts) {
            SizingOps sizing = new SizingOps(device);
            Ops ops = sizing.ops();
            Actor actor = actor(ops, DType.F32);
            stage(sizing, parts, "actor's weights");
            boolean anchored = config.train().klCoefficient() != 0;
            if (anchored) {
                actor(ops, dtype);
                stage(sizing, parts, "reference's weights");
            }
            new AdamW(ops, actor.weights(), settings(), config.train().kept());
            stage(sizing, parts, "actor's gradients and moments");
            Drafter drafter = drafter(ops, actor);
            if (drafter != null) {
                stage(sizing, parts, "drafter's weights");
            }
            boolean speculate = !config.speculation().mode().equals("off");
            boolean distill = config.distill().enabled();
            RolloutLimits least = limits.withPages(limits.leastPages());
            engine(ops, actor, speculate || distill ? drafter : null, least, PlanPolicies.unmeasured(config.speculation()), speculate);
            for (int i = config.eval().temperature() == null ? 1 : 2; i > 0; i--) {
                engine(ops, actor, null, least.withoutCaptures(), PlanPolicies.off(), false);
            }
            // Counted by their number, which is what is planned.
            sizing.bytes().remove(PAGES);
            stage(sizing, parts, "rollout's buffers, draft trees and features");
            if (distill) {
                learner(ops, drafter);
                stage(sizing, parts, "drafter's learning");
            }
            OwnMemory own = device.ownMemory();
            boolean beside = distill && config.distill().overlap();
            if (beside) {
                parts.put("learner's workspace for matrix products", own.device());
            }
            if (config.train().kept() == AdamW.Moments.HOST) {
                parts.put("places that moments come to from the host", own.hostMoments());
            }
            return sizing.hostBytes() + own.pinned() * (beside ? 2 : 1);
        }

        /** What the drafter's learning keeps on the host, whatever the device. */
        Map<String, Long> taught() {
            Map<String, Long> bytes = new LinkedHashMap<>();
            if (config.distill().enabled()) {
                int width = drafterConfig.featureLayers().size() * actorConfig.hiddenSize();
                int topK = limits.captureTopK();
                long all = (long) config.train().promptsPerIteration() * config.train().groupSize() * (limits.maxLength() - 1);
                long most = Math.min(all, limits.captureRows() + limits.maxLength() - 2L);
                bytes.put("replay buffer", ReplayBuffer.bytes(limits.captureRows(), width, topK));
                bytes.put("an iteration's captured rows", ReplayBuffer.bytes(Math.toIntExact(most), width, topK));
                bytes.put("published drafters", OnlineDrafter.publishedBytes(TensorSpec.elements(drafterConfig.tensors())));
            }
            return bytes;
        }

        private void engine(Ops ops, Actor actor, Drafter drafter, RolloutLimits limits, PlanPolicy policy, boolean speculate) {
            new RolloutEngine(ops, actor, drafter, limits, SamplingParams.temperature(1f), 0, new StopRule(List.of(0), List.of()), policy,
                speculate, 1f);
        }

        /** Null for none. */
        private Drafter drafter(Ops ops, Actor actor) {
            return drafterConfig == null ? null
                : new Drafter(ops, drafterConfig, new ParameterSet(ops, "drafter", drafterConfig.tensors()), actor);
        }

        private void learner(Ops ops, Drafter drafter) {
            var d = config.distill();
            Drafter twin = drafter.twin(ops, d.overlap());
            AdamW optimizer = new AdamW(ops, twin.weights(), settings());
            int rows = d.rows(limits.maxLength() - 1);
            new DrafterTraining(ops, twin, rows, rows, d.unroll(), limits.captureTopK());
            // What an update that goes wrong is undone with: weights and moments.
            for (int i = 0; i < 3; i++) {
                new ParameterSet(ops, "before the update", optimizer.firstMoments().specs());
            }
        }

        /** Passes of so many tokens. */
        Passes passes(int tokens) {
            SizingOps sizing = new SizingOps(device);
            Ops ops = sizing.ops();
            Actor actor = actor(ops, DType.F32);
            boolean anchored = config.train().klCoefficient() != 0;
            AdamW optimizer = new AdamW(ops, actor.weights(), settings());
            long before = sum(sizing);
            long beforeOnHost = sizing.hostBytes();
            ActorTraining.Keep keep = config.train().checkpointActivations() ? ActorTraining.Keep.INPUTS : ActorTraining.Keep.ALL;
            new PolicyTrainer(ops, actor, anchored ? actor : null, optimizer, new PolicyLoss(0, 0, config.train().klCoefficient()),
                new PolicyTrainer.Schedule(1, 1, false, SamplingParams.temperature(1f)), tokens, keep, true).reserve();
            return new Passes(sum(sizing) - before, sizing.hostBytes() - beforeOnHost);
        }

        private AdamW.Settings settings() {
            return new AdamW.Settings(0, 0, 0, 0, 0);
        }

        private static long sum(SizingOps sizing) {
            return sizing.bytes().values().stream().mapToLong(Long::longValue).sum();
        }

        /** What was allocated since the stage before. */
        private static void stage(SizingOps sizing, Map<String, Long> parts, String name) {
            parts.put(name, sum(sizing) - parts.values().stream().mapToLong(Long::longValue).sum());
        }
    }

    /** What rollouts are limited to by a config, pages as it says. */
    static RolloutLimits limits(RunConfig config, ModelConfig actor, int prompt) {
        var r = config.rollout();
        return new RolloutLimits(r.maxBatch(), prompt, r.maxTokens(), r.pageSize(), Math.max(0, r.kvPages()),
            config.distill().enabled() ? Math.min(config.distill().topK(), actor.vocabSize()) : 0)
            .withCaptureRows(config.distill().capacityTokens());
    }
}

package org.respec.engine.run;

import java.nio.file.Path;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;

/** How a bundled actor and drafter are made from nothing. */
public record PretrainConfig(RunConfig.Run run, Output output, TaskConfig task, ActorSize actor, DrafterSize drafter, Supervised supervised,
                             Distilled distill) {
    /** Folders to write. */
    public record Output(Path actor, Path drafter) {
        static Output read(ConfigSection s, Path base) {
            Path actor = s.normalPath("actor", base);
            Path drafter = s.normalPath("drafter", base);
            if (actor == null || drafter == null) {
                throw s.bad(actor == null ? "actor" : "drafter", "is missing; name a folder to write");
            }
            s.finish();
            Output output = new Output(actor, drafter);
            if (output.actor.toAbsolutePath().equals(output.drafter.toAbsolutePath())) {
                throw s.bad("drafter", "is the actor's folder too, whose files it would overwrite; name another");
            }
            return output;
        }
    }

    private static void checkHeads(ConfigSection s, int heads, int kvHeads, int headDim) {
        if (heads % kvHeads != 0) {
            throw s.bad("num_key_value_heads", "is " + kvHeads + ", which must divide num_attention_heads " + heads);
        }
        if (headDim % 2 != 0) {
            throw s.bad("head_dim", "is " + headDim + ", which must be even");
        }
    }

    /** The actor's architecture, its vocabulary apart. */
    public record ActorSize(int hidden, int intermediate, int layers, int heads, int kvHeads, int headDim, double ropeTheta,
                            int maxPositions) {
        static ActorSize read(ConfigSection s) {
            ActorSize size = new ActorSize(s.integer("hidden_size", 128, 8, 4096), s.integer("intermediate_size", 384, 8, 16384),
                s.integer("num_hidden_layers", 8, 3, 64), s.integer("num_attention_heads", 4, 1, 64),
                s.integer("num_key_value_heads", 2, 1, 64), s.integer("head_dim", 32, 2, 256), s.number("rope_theta", 10000, 1, 1e9),
                s.integer("max_position_embeddings", 256, 16, 65536));
            checkHeads(s, size.heads, size.kvHeads, size.headDim);
            s.finish();
            return size;
        }

        ModelConfig config(int vocab, int end, int pad) {
            return new ModelConfig(vocab, hidden, intermediate, layers, heads, kvHeads, headDim, 1e-6, ropeTheta, maxPositions, true,
                List.of(end), pad);
        }
    }

    /** The drafter's architecture, where it does not follow the actor's. */
    public record DrafterSize(List<Integer> featureLayers, int intermediate, int heads, int kvHeads, int headDim) {
        static DrafterSize read(ConfigSection s, ActorSize actor) {
            int n = actor.layers;
            DrafterSize size = new DrafterSize(s.integers("feature_layers", List.of(Math.max(1, n / 4), n / 2 + 1, n), 1, n),
                s.integer("intermediate_size", actor.intermediate, 8, 16384), s.integer("num_attention_heads", actor.heads, 1, 64),
                s.integer("num_key_value_heads", actor.kvHeads, 1, 64), s.integer("head_dim", actor.headDim, 2, 256));
            List<Integer> f = size.featureLayers;
            if (f.size() != 3 || f.get(0) >= f.get(1) || f.get(1) >= f.get(2)) {
                throw s.bad("feature_layers", "is " + f + "; it must be three rising numbers of layers");
            }
            checkHeads(s, size.heads, size.kvHeads, size.headDim);
            s.finish();
            return size;
        }

        DrafterConfig config(ModelConfig actor) {
            return new DrafterConfig(actor.hiddenSize(), featureLayers, intermediate, heads, kvHeads, headDim,
                actor.rmsNormEps(), actor.ropeTheta(), actor.maxPositionEmbeddings(), actor.vocabSize());
        }
    }

    /** Imitation of worked examples, of whose steps the share {@code mistakeRate} is wrong. */
    public record Supervised(int steps, int batchTokens, float learningRate, int warmupSteps, float weightDecay, float maxGradNorm,
                             double mistakeRate) {
        static Supervised read(ConfigSection s) {
            Supervised supervised = new Supervised(s.integer("steps", 4000, 1, 10_000_000), s.integer("batch_tokens", 2048, 64, 1 << 20),
                (float) s.number("learning_rate", 2e-3, 0, 1), s.integer("warmup_steps", 100, 0, 1_000_000),
                (float) s.number("weight_decay", 0.01, 0, 1), (float) s.number("max_grad_norm", 1, 0, 1e6),
                s.number("mistake_rate", 0.1, 0, 1));
            s.finish();
            return supervised;
        }
    }

    /** The drafter's learning from the actor's own responses. */
    public record Distilled(int rounds, int prompts, int groupSize, int maxTokens, int steps, int batchTokens, float learningRate, int topK,
                            int capacityTokens, int unroll, float unrollDecay, float maxGradNorm) {
        static Distilled read(ConfigSection s) {
            Distilled distilled = new Distilled(s.integer("rounds", 40, 1, 1_000_000), s.integer("prompts", 64, 1, 65536),
                s.integer("group_size", 4, 1, 1024), s.integer("max_tokens", 96, 1, 65536), s.integer("steps_per_round", 20, 1, 100_000),
                s.integer("batch_tokens", 2048, 16, 1 << 20), (float) s.number("learning_rate", 2e-3, 0, 1),
                s.integer("top_k", 16, 1, 1024),
                s.integer("capacity_tokens", 65536, 16, 1 << 28), s.integer("unroll", 3, 1, 8), (float) s.number("unroll_decay", 0.8, 0, 1),
                (float) s.number("max_grad_norm", 0.5, 0, 1e6));
            s.finish();
            return distilled;
        }
    }

    /**
     * Reads a YAML file with {@code key.path=value} overrides. Paths are relative to the file.
     *
     * @throws BadInput naming file, key and reason
     */
    public static PretrainConfig read(Path file, List<String> overrides) {
        ConfigSection root = ConfigFile.read(file, overrides);
        Path base = file.getParent() == null ? file.toAbsolutePath().getParent() : file.getParent();
        ConfigSection run = root.section("run");
        ConfigSection output = root.section("output");
        ConfigSection task = root.section("task");
        ConfigSection actor = root.section("actor");
        ConfigSection drafter = root.section("drafter");
        ConfigSection supervised = root.section("supervised");
        ConfigSection distill = root.section("distill");
        root.finish();
        ActorSize actorSize = ActorSize.read(actor);
        return new PretrainConfig(RunConfig.Run.read(run), Output.read(output, base), TaskConfig.read(task, base), actorSize,
            DrafterSize.read(drafter, actorSize), Supervised.read(supervised), Distilled.read(distill));
    }
}

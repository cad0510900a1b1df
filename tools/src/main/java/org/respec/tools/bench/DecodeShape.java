package org.respec.tools.bench;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.kernels.gpu.KernelNeed;

/**
 * Shapes that decoding is timed at: those of Qwen2.5's models, computed as Qwen3 layers, and smaller ones, each with an EAGLE-3 style
 * drafter.
 */
public enum DecodeShape {
    TINY("tiny", model(96, 64, 96, 3, 2, 1, 32, 512, true)),
    /** Steps of some ms on a few processors. */
    SMALL("small", model(2048, 384, 1024, 8, 6, 2, 64, 32_768, true)),
    /** Weights of half a gigabyte, which caches do not hold: on a few processors, steps of some tens of ms. */
    MEDIUM("medium", model(2048, 1024, 2816, 12, 16, 4, 64, 32_768, true)),
    QWEN_3B("qwen2.5-3b", model(151_936, 2048, 11_008, 36, 16, 2, 128, 32_768, true)),
    QWEN_7B("qwen2.5-7b", model(152_064, 3584, 18_944, 28, 28, 4, 128, 32_768, false)),
    QWEN_14B("qwen2.5-14b", model(152_064, 5120, 13_824, 48, 40, 8, 128, 32_768, false));

    private final String title;
    private final ModelConfig actor;

    DecodeShape(String title, ModelConfig actor) {
        this.title = title;
        this.actor = actor;
    }

    private static ModelConfig model(int vocab, int hidden, int intermediate, int layers, int heads, int kvHeads, int headDim,
                                     int positions, boolean tied) {
        return new ModelConfig(vocab, hidden, intermediate, layers, heads, kvHeads, headDim, 1e-6, 1e6, positions, tied, List.of(0), 0);
    }

    /** Its name on the command line. */
    public String title() {
        return title;
    }

    /** The model that is named. */
    public ModelConfig actor() {
        return actor;
    }

    /** One layer of the actor's own width, with a head over the whole vocabulary. */
    public DrafterConfig drafter() {
        int layers = actor.numHiddenLayers();
        return new DrafterConfig(actor.hiddenSize(), List.of(1, Math.max(2, layers / 2), layers), actor.intermediateSize(),
            actor.numAttentionHeads(), actor.numKeyValueHeads(), actor.headDim(), actor.rmsNormEps(), actor.ropeTheta(),
            actor.maxPositionEmbeddings(), actor.vocabSize());
    }

    /** What decoding it needs of a GPU's kernels. */
    public KernelNeed kernels() {
        return new KernelNeed(actor.headDim(), true);
    }

    /** The shape of a name. */
    public static Optional<DecodeShape> of(String title) {
        return Stream.of(values()).filter(shape -> shape.title.equals(title)).findFirst();
    }

    /** All names. */
    public static List<String> titles() {
        return Stream.of(values()).map(DecodeShape::title).toList();
    }
}

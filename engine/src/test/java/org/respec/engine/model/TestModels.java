package org.respec.engine.model;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;

/** Small models with seeded random weights. */
public final class TestModels {
    private TestModels() {
    }

    /** 3 layers, hidden 24, 4 query heads on 2 KV heads of size 8, vocabulary 37. */
    public static ModelConfig actorConfig(boolean tied) {
        return new ModelConfig(37, 24, 40, 3, 4, 2, 8, 1e-6, 10000, 512, tied, List.of(1), 0);
    }

    /** One layer of 2 query heads on 1 KV head of size 8. */
    public static DrafterConfig drafterConfig(ModelConfig actor) {
        return new DrafterConfig(actor.hiddenSize(), List.of(1, 2, 3), 32, 2, 1, 8, 1e-6, 10000, 512, actor.vocabSize());
    }

    /** Heads of 32, which GPUs take: 3 layers, hidden 64, 2 query heads on 1 KV head. */
    public static ModelConfig wideConfig(int vocab, int positions) {
        return new ModelConfig(vocab, 64, 96, 3, 2, 1, 32, 1e-6, 10000, positions, true, List.of(1), 0);
    }

    /** One layer with heads as in {@link #wideConfig}. */
    public static DrafterConfig wideDrafterConfig(ModelConfig actor) {
        return new DrafterConfig(actor.hiddenSize(), List.of(1, 2, 3), 64, 2, 1, 32, 1e-6, 10000, actor.maxPositionEmbeddings(),
            actor.vocabSize());
    }

    public static Actor actor(Ops ops, ModelConfig config, long seed) {
        return actor(ops, config, seed, DType.F32);
    }

    /** @param dtype that it computes in; its weights are F32 */
    public static Actor actor(Ops ops, ModelConfig config, long seed, DType dtype) {
        ParameterSet weights = new ParameterSet(ops, "test actor", config.tensors());
        randomise(weights, seed);
        Actor actor = new Actor(ops, config, weights, dtype);
        actor.publish();
        return actor;
    }

    public static Drafter drafter(Ops ops, DrafterConfig config, Actor actor, long seed) {
        ParameterSet weights = new ParameterSet(ops, "test drafter", config.tensors());
        randomise(weights, seed);
        Drafter drafter = new Drafter(ops, config, weights, actor);
        drafter.publish();
        return drafter;
    }

    /** Norm weights near 1, matrices of a size that keeps activations near 1. */
    public static void randomise(ParameterSet weights, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        MemorySegment bytes = weights.hostBytes();
        long at = 0;
        for (TensorSpec spec : weights.specs()) {
            double scale = spec.rows() == 1 ? 0.3 : 1.7 / Math.sqrt(spec.cols());
            double centre = spec.rows() == 1 ? 1 : 0;
            for (long i = 0; i < (long) spec.rows() * spec.cols(); i++) {
                bytes.setAtIndex(ValueLayout.JAVA_FLOAT, at++, (float) (centre + scale * (2 * random.nextDouble() - 1)));
            }
        }
        weights.upload();
    }

    /** Rounds F32 weights to what BF16 holds. */
    public static void round(ParameterSet weights) {
        MemorySegment from = weights.download();
        MemorySegment to = weights.hostBytes();
        for (long i = 0; i < weights.size(); i++) {
            float value = from.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            to.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.intBitsToFloat(Safetensors.toBfloat16(value) << 16));
        }
        weights.upload();
    }

    public static List<int[]> sequences(int vocab, long seed, int... lengths) {
        SplittableRandom random = new SplittableRandom(seed);
        List<int[]> sequences = new ArrayList<>();
        for (int length : lengths) {
            sequences.add(random.ints(length, 0, vocab).toArray());
        }
        return sequences;
    }

    static int fill(Ops ops, ActorTraining training, List<int[]> sequences) {
        PassFiller filler = new PassFiller(training.tokens(), training.spans());
        for (int[] sequence : sequences) {
            filler.beginSequence();
            for (int token : sequence) {
                filler.addRow(token);
            }
        }
        filler.push(ops);
        return filler.rows();
    }

    public static int[] join(int[] a, int[] b) {
        int[] all = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, all, a.length, b.length);
        return all;
    }
}

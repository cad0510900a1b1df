package org.respec.engine.model;

import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Forward passes of an {@link Actor} over a paged cache: prefill, decode and tree verification are all the same pass. */
public final class ActorInference implements AutoCloseable {
    private final Ops ops;
    private final Actor actor;
    private final TensorArena arena;
    private final DecoderScratch scratch;
    private final Tensor x;
    private final Tensor normed;
    private final Tensor logits;
    private final Tensor features;
    private final FeatureTarget ownFeatures;
    private final int[] featureLayers;

    /**
     * @param maxRows most rows of one pass
     * @param featureLayers after how many layers the hidden state is captured, ascending; empty for no capture
     */
    public ActorInference(Ops ops, Actor actor, int maxRows, int[] featureLayers) {
        this.ops = ops;
        this.actor = actor;
        this.featureLayers = featureLayers.clone();
        ModelConfig config = actor.config();
        DType dtype = actor.dtype();
        arena = ops.arena("actor inference");
        scratch = new DecoderScratch(arena, dtype, maxRows, config.hiddenSize(), config.intermediateSize(), actor.shape);
        x = arena.allocate(dtype, maxRows, config.hiddenSize());
        normed = arena.allocate(dtype, maxRows, config.hiddenSize());
        // F32 whatever the weights: samples are drawn from sums that were not rounded, and next to the weights their bytes are few.
        logits = arena.allocate(DType.F32, maxRows, config.vocabSize());
        features = featureLayers.length == 0 ? null : arena.allocate(dtype, maxRows, featureLayers.length * config.hiddenSize());
        ownFeatures = features == null ? null : FeatureTarget.in(features, featureLayers.length, null);
    }

    /** Logits of the last pass that asked for them, F32 [maxRows x vocab]. */
    public Tensor logits() {
        return logits;
    }

    /** Features of the last pass whose target was {@link #ownFeatures}, [maxRows x 3 hidden] in the actor's type. */
    public Tensor features() {
        return features;
    }

    /** Row by row {@link #features}; null where no layers are captured. */
    public FeatureTarget ownFeatures() {
        return ownFeatures;
    }

    /**
     * Runs rows of {@code batch} through all layers and appends their keys and values to {@code kv}.
     *
     * @param wantLogits whether {@link #logits} is computed
     * @param target where features are kept; null for nowhere
     */
    public void forward(RowBatch batch, KvStore kv, int requests, int rows, boolean wantLogits, FeatureTarget target) {
        ops.embedding(actor.embedding, batch.tokens().device(), x, rows);
        int next = 0;
        for (int i = 0; i < actor.layers.length; i++) {
            next += norm(i, actor.inputNorms[i], actor.layers[i].eps, target, next, rows);
            scratch.layer(ops, actor.layers[i], actor.rope, normed, x, kv, i, batch, requests, rows);
        }
        // A last feature alone wants no norm, but so it is kept in one pass by all threads.
        if (wantLogits || captures(actor.layers.length, target, next)) {
            norm(actor.layers.length, actor.finalNorm, (float) actor.config().rmsNormEps(), target, next, rows);
        }
        if (wantLogits) {
            ops.linear(normed, actor.headPacked, logits, false, rows);
        }
    }

    private boolean captures(int layers, FeatureTarget target, int next) {
        return target != null && next < featureLayers.length && featureLayers[next] == layers;
    }

    /** Normalises the hidden state after so many layers, and keeps it where it is a feature; returns how many features that gave. */
    private int norm(int layers, Tensor weight, float eps, FeatureTarget target, int next, int rows) {
        if (captures(layers, target, next)) {
            ops.copyRmsNorm(x, weight, eps, target.parts()[next], target.rows(), normed, rows);
            return 1;
        }
        ops.rmsNorm(x, weight, eps, normed, rows);
        return 0;
    }

    @Override
    public void close() {
        arena.close();
    }
}

package org.respec.engine.model;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * The small model that proposes (EAGLE-3, Li et al., 2025): three hidden states of the actor fused into one, one decoder layer over
 * that and the embedding of the token that followed, a head of its own. The embedding is the actor's and is not trained here.
 */
public final class Drafter implements AutoCloseable {
    private final Ops ops;
    private final TensorArena arena;
    private final DrafterConfig config;
    private final ParameterSet weights;
    /** What passes read: the weights, or their copies in the actor's type. */
    private final ParameterSet published;
    final AttentionShape shape;
    final DecoderLayer layer;
    final Tensor fuse;
    final Tensor hiddenNorm;
    final Tensor inputNorm;
    final Tensor finalNorm;
    final Tensor head;
    final PackedMatrix fusePacked;
    final PackedMatrix headPacked;
    final Tensor rope;
    final Tensor embedding;

    /** A drafter over {@code weights}, which it takes over and closes, for {@code actor}, whose embedding it reads and type it has. */
    public Drafter(Ops ops, DrafterConfig config, ParameterSet weights, Actor actor) {
        this(ops, ops.arena("drafter"), config, weights, actor.embedding);
    }

    private Drafter(Ops ops, TensorArena arena, DrafterConfig config, ParameterSet weights, Tensor embedding) {
        this.ops = ops;
        this.config = config;
        this.weights = weights;
        this.published = weights.inType(embedding.dtype(), "drafter weights in " + embedding.dtype());
        this.arena = arena;
        this.shape = new AttentionShape(config.numAttentionHeads(), config.numKeyValueHeads(), config.headDim());
        this.layer = new DecoderLayer(ops, arena, LayerTensors.of(published, "midlayer."), shape, (float) config.rmsNormEps());
        this.fuse = published.get("fc.weight");
        this.hiddenNorm = published.get("midlayer.hidden_norm.weight");
        this.inputNorm = published.get("midlayer.input_layernorm.weight");
        this.finalNorm = published.get("norm.weight");
        this.head = published.get("lm_head.weight");
        this.fusePacked = Packing.of(ops, arena, fuse);
        this.headPacked = Packing.of(ops, arena, head);
        this.rope = RopeTable.build(ops, arena, config.maxPositionEmbeddings(), config.headDim(), config.ropeTheta());
        this.embedding = embedding;
    }

    /**
     * A second drafter with the same weights, which may be taught while this one drafts.
     *
     * @param ops operators of its own thread, or the same ones if they take turns
     * @param detached whether it has a copy of the embedding too, so that the actor may be trained meanwhile; see {@link #embedLike}
     */
    public Drafter twin(Ops ops, boolean detached) {
        ParameterSet copy = new ParameterSet(ops, "drafter twin", weights.specs());
        copy.copyFrom(weights);
        TensorArena own = ops.arena("drafter twin");
        Tensor table = detached ? own.allocate(embedding.dtype(), embedding.rows(), embedding.cols()) : embedding;
        Drafter twin = new Drafter(ops, own, config, copy, table);
        twin.embedLike(this);
        twin.publish();
        return twin;
    }

    /** Takes over the embedding of {@code other} as it is now; does nothing where the two share one. */
    public void embedLike(Drafter other) {
        if (embedding != other.embedding) {
            ops.copy(other.embedding, embedding, embedding.rows());
        }
    }

    /** Its architecture. */
    public DrafterConfig config() {
        return config;
    }

    /** What optimizers change and checkpoints keep; {@link #publish} brings it to passes. */
    public ParameterSet weights() {
        return weights;
    }

    /** Type of activations and caches. */
    public DType dtype() {
        return published.dtype();
    }

    /** Heads of its one layer. */
    public AttentionShape shape() {
        return shape;
    }

    /** Makes changed weights visible to forward passes. */
    public void publish() {
        weights.refreshCopy();
        repack();
    }

    /** {@link #publish} after a step of an optimizer, which has written the weights that passes read. */
    public void repack() {
        layer.repack(ops);
        ops.repack(fuse, fusePacked);
        ops.repack(head, headPacked);
    }

    @Override
    public void close() {
        arena.close();
        weights.close();
    }
}

package org.respec.engine.model;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** The language model that is trained: a Qwen3 decoder's weights in the form that forward and backward passes take. */
public final class Actor implements AutoCloseable {
    private final Ops ops;
    private final TensorArena arena;
    private final ModelConfig config;
    private final ParameterSet weights;
    /** What passes read: the weights, or their copies in another type. */
    private final ParameterSet published;
    final AttentionShape shape;
    final DecoderLayer[] layers;
    final Tensor[] inputNorms;
    final Tensor embedding;
    final Tensor finalNorm;
    final Tensor head;
    final PackedMatrix headPacked;
    final Tensor rope;

    /** A model over {@code weights}, which it takes over and closes; they must have the shapes of {@code config.tensors()}. */
    public Actor(Ops ops, ModelConfig config, ParameterSet weights) {
        this(ops, config, weights, weights.dtype());
    }

    /** @param dtype of activations, and of the weights that passes read: where {@code weights} has another, of copies of it */
    public Actor(Ops ops, ModelConfig config, ParameterSet weights, DType dtype) {
        this.ops = ops;
        this.config = config;
        this.weights = weights;
        this.published = weights.inType(dtype, "actor weights in " + dtype);
        this.arena = ops.arena("actor");
        this.shape = new AttentionShape(config.numAttentionHeads(), config.numKeyValueHeads(), config.headDim());
        this.layers = new DecoderLayer[config.numHiddenLayers()];
        this.inputNorms = new Tensor[layers.length];
        float eps = (float) config.rmsNormEps();
        for (int i = 0; i < layers.length; i++) {
            String prefix = "model.layers." + i + ".";
            inputNorms[i] = published.get(prefix + "input_layernorm.weight");
            layers[i] = new DecoderLayer(ops, arena, LayerTensors.of(published, prefix), shape, eps);
        }
        this.embedding = published.get("model.embed_tokens.weight");
        this.finalNorm = published.get("model.norm.weight");
        this.head = config.tieWordEmbeddings() ? embedding : published.get("lm_head.weight");
        this.headPacked = Packing.of(ops, arena, head);
        this.rope = RopeTable.build(ops, arena, config.maxPositionEmbeddings(), config.headDim(), config.ropeTheta());
    }

    /** Its architecture. */
    public ModelConfig config() {
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

    /** Heads of every layer. */
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
        for (DecoderLayer layer : layers) {
            layer.repack(ops);
        }
        ops.repack(head, headPacked);
    }

    @Override
    public void close() {
        arena.close();
        weights.close();
    }
}

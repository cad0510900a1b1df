package org.respec.engine.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.kernels.AttentionShape;

/**
 * An EAGLE-3 style drafter's sizes.
 *
 * @param featureLayers after how many of the actor's layers each of the three hidden states is taken, ascending
 */
public record DrafterConfig(int hiddenSize, List<Integer> featureLayers, int intermediateSize, int numAttentionHeads, int numKeyValueHeads,
                            int headDim, double rmsNormEps, double ropeTheta, int maxPositionEmbeddings, int vocabSize) {
    static final String ARCHITECTURE = "RespecEagle3Drafter";

    public DrafterConfig {
        featureLayers = List.copyOf(featureLayers);
    }

    /** Reads and checks {@code config.json}. */
    public static DrafterConfig read(Path file) {
        JsonFields json = JsonFields.read(file);
        json.architecture(ARCHITECTURE);
        int vocab = json.integer("vocab_size", 2, 1 << 20);
        if (json.has("draft_vocab_size") && json.integer("draft_vocab_size", 2, 1 << 20) != vocab) {
            throw json.bad("draft_vocab_size", "differs from vocab_size " + vocab + "; reduced draft vocabularies are not supported");
        }
        AttentionShape attention = json.attention();
        List<Integer> layers = json.integers("feature_layers", 1, 1024);
        if (layers.size() != 3 || layers.get(0) >= layers.get(1) || layers.get(1) >= layers.get(2)) {
            throw json.bad("feature_layers", "is " + layers + "; it must be three rising numbers of layers");
        }
        return new DrafterConfig(json.integer("hidden_size", 1, 1 << 17), layers,
            json.integer("intermediate_size", 1, 1 << 19), attention.heads(), attention.kvHeads(), attention.headDim(),
            json.number("rms_norm_eps", 1e-12, 1e-2), json.number("rope_theta", 1, 1e9),
            json.integer("max_position_embeddings", 1, 1 << 20), vocab);
    }

    /** Refuses a drafter made for another actor; {@code file} is named in the message. */
    public void checkFits(ModelConfig actor, Path file) {
        if (hiddenSize != actor.hiddenSize()) {
            throw new BadInput(file + ": hidden_size is " + hiddenSize + ", but the actor's is " + actor.hiddenSize()
                + "; use a drafter made for this actor.");
        }
        if (vocabSize != actor.vocabSize()) {
            throw new BadInput(file + ": vocab_size is " + vocabSize + ", but the actor's is " + actor.vocabSize()
                + "; use a drafter made for this actor.");
        }
        if (featureLayers.get(2) > actor.numHiddenLayers()) {
            throw new BadInput(file + ": feature_layers names layer " + featureLayers.get(2) + ", but the actor has "
                + actor.numHiddenLayers() + "; use a drafter made for this actor.");
        }
        if (maxPositionEmbeddings < actor.maxPositionEmbeddings()) {
            throw new BadInput(file + ": max_position_embeddings is " + maxPositionEmbeddings
                + ", less than the actor's " + actor.maxPositionEmbeddings() + "; raise it.");
        }
    }

    /** The configuration as JSON. */
    public ObjectNode toJson() {
        ObjectNode json = JsonFields.MAPPER.createObjectNode();
        json.putArray("architectures").add(ARCHITECTURE);
        json.put("hidden_size", hiddenSize);
        featureLayers.forEach(json.putArray("feature_layers")::add);
        json.put("intermediate_size", intermediateSize);
        json.put("num_attention_heads", numAttentionHeads);
        json.put("num_key_value_heads", numKeyValueHeads);
        json.put("head_dim", headDim);
        json.put("rms_norm_eps", rmsNormEps);
        json.put("rope_theta", ropeTheta);
        json.put("max_position_embeddings", maxPositionEmbeddings);
        json.put("vocab_size", vocabSize);
        json.put("draft_vocab_size", vocabSize);
        json.put("torch_dtype", "bfloat16");
        return json;
    }

    /** {@link #featureLayers} as the passes take them. */
    public int[] featureLayerNumbers() {
        return featureLayers.stream().mapToInt(Integer::intValue).toArray();
    }

    /** Names and shapes of all weights, in the order they are kept in. */
    public List<TensorSpec> tensors() {
        List<TensorSpec> specs = new ArrayList<>();
        specs.add(new TensorSpec("fc.weight", hiddenSize, 3 * hiddenSize));
        specs.add(TensorSpec.vector("midlayer.hidden_norm.weight", hiddenSize));
        specs.add(TensorSpec.vector("midlayer.input_layernorm.weight", hiddenSize));
        ModelConfig.addLayer(specs, "midlayer.", 2 * hiddenSize, hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads,
            headDim);
        specs.add(TensorSpec.vector("norm.weight", hiddenSize));
        specs.add(new TensorSpec("lm_head.weight", vocabSize, hiddenSize));
        return specs;
    }
}

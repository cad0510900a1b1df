package org.respec.engine.model;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.AttentionShape;

/**
 * A Qwen3 decoder's sizes, as in Hugging Face's {@code config.json}.
 *
 * @param eosTokenIds tokens that end a response
 * @param padTokenId filler, never drawn on purpose
 */
public record ModelConfig(int vocabSize, int hiddenSize, int intermediateSize, int numHiddenLayers, int numAttentionHeads,
                          int numKeyValueHeads, int headDim, double rmsNormEps, double ropeTheta, int maxPositionEmbeddings,
                          boolean tieWordEmbeddings, List<Integer> eosTokenIds, int padTokenId) {
    static final String ARCHITECTURE = "Qwen3ForCausalLM";

    public ModelConfig {
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /** Reads and checks {@code config.json}; {@link org.respec.engine.BadInput} names the field that is wrong. */
    public static ModelConfig read(Path file) {
        JsonFields json = JsonFields.read(file);
        json.architecture(ARCHITECTURE);
        json.mustBeAbsent("rope_scaling", "scaled rotary embeddings are not supported");
        if (json.flag("attention_bias", false)) {
            throw json.bad("attention_bias", "is true, but biases are not supported; use a model without");
        }
        json.mustSay("hidden_act", "silu");
        json.mustSay("use_sliding_window", "false");
        int vocab = json.integer("vocab_size", 2, 1 << 20);
        AttentionShape attention = json.attention();
        ModelConfig config = new ModelConfig(vocab, json.integer("hidden_size", 1, 1 << 17), json.integer("intermediate_size", 1, 1 << 19),
            json.integer("num_hidden_layers", 1, 1024), attention.heads(), attention.kvHeads(), attention.headDim(),
            json.number("rms_norm_eps", 1e-12, 1e-2), json.number("rope_theta", 1, 1e9),
            json.integer("max_position_embeddings", 1, 1 << 20),
            json.flag("tie_word_embeddings", false), json.integers("eos_token_id", 0, vocab - 1),
            json.has("pad_token_id") ? json.integer("pad_token_id", 0, vocab - 1) : 0);
        config.tensors().stream().filter(spec -> (long) spec.rows() * spec.cols() > Integer.MAX_VALUE).findFirst().ifPresent(spec -> {
            throw json.bad("hidden_size", "is " + config.hiddenSize + ", with which " + spec.name() + " would be " + spec.rows() + " x "
                + spec.cols() + ", more than " + Integer.MAX_VALUE + " elements; use a smaller model");
        });
        return config;
    }

    /** The configuration in Hugging Face form. */
    public ObjectNode toJson() {
        ObjectNode json = JsonFields.MAPPER.createObjectNode();
        json.putArray("architectures").add(ARCHITECTURE);
        json.put("model_type", "qwen3");
        json.put("hidden_act", "silu");
        json.put("attention_bias", false);
        json.put("vocab_size", vocabSize);
        json.put("hidden_size", hiddenSize);
        json.put("intermediate_size", intermediateSize);
        json.put("num_hidden_layers", numHiddenLayers);
        json.put("num_attention_heads", numAttentionHeads);
        json.put("num_key_value_heads", numKeyValueHeads);
        json.put("head_dim", headDim);
        json.put("rms_norm_eps", rmsNormEps);
        json.put("rope_theta", ropeTheta);
        json.put("max_position_embeddings", maxPositionEmbeddings);
        json.put("tie_word_embeddings", tieWordEmbeddings);
        if (eosTokenIds.size() == 1) {
            json.put("eos_token_id", eosTokenIds.getFirst());
        } else {
            ArrayNode ids = json.putArray("eos_token_id");
            eosTokenIds.forEach(ids::add);
        }
        json.put("pad_token_id", padTokenId);
        json.put("torch_dtype", "bfloat16");
        return json;
    }

    /** Names and shapes of all weights, in the order they are kept in. */
    public List<TensorSpec> tensors() {
        List<TensorSpec> specs = new ArrayList<>();
        specs.add(new TensorSpec("model.embed_tokens.weight", vocabSize, hiddenSize));
        for (int i = 0; i < numHiddenLayers; i++) {
            String prefix = "model.layers." + i + ".";
            specs.add(TensorSpec.vector(prefix + "input_layernorm.weight", hiddenSize));
            addLayer(specs, prefix, hiddenSize, hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim);
        }
        specs.add(TensorSpec.vector("model.norm.weight", hiddenSize));
        if (!tieWordEmbeddings) {
            specs.add(new TensorSpec("lm_head.weight", vocabSize, hiddenSize));
        }
        return specs;
    }

    /** A layer's tensors but its input norm; fused projections need query, key, value and gate, up to be neighbours. */
    static void addLayer(List<TensorSpec> specs, String prefix, int inputs, int hidden, int intermediate, int heads, int kvHeads,
                         int headDim) {
        specs.add(new TensorSpec(prefix + "self_attn.q_proj.weight", heads * headDim, inputs));
        specs.add(new TensorSpec(prefix + "self_attn.k_proj.weight", kvHeads * headDim, inputs));
        specs.add(new TensorSpec(prefix + "self_attn.v_proj.weight", kvHeads * headDim, inputs));
        specs.add(TensorSpec.vector(prefix + "self_attn.q_norm.weight", headDim));
        specs.add(TensorSpec.vector(prefix + "self_attn.k_norm.weight", headDim));
        specs.add(new TensorSpec(prefix + "self_attn.o_proj.weight", hidden, heads * headDim));
        specs.add(TensorSpec.vector(prefix + "post_attention_layernorm.weight", hidden));
        specs.add(new TensorSpec(prefix + "mlp.gate_proj.weight", intermediate, hidden));
        specs.add(new TensorSpec(prefix + "mlp.up_proj.weight", intermediate, hidden));
        specs.add(new TensorSpec(prefix + "mlp.down_proj.weight", hidden, intermediate));
    }
}

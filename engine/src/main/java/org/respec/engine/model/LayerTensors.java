package org.respec.engine.model;

import org.respec.kernels.Tensor;

/** One decoder layer's share of a {@link ParameterSet}: of the weights, or of their gradients. */
record LayerTensors(Tensor qkv, Tensor qNorm, Tensor kNorm, Tensor output, Tensor postNorm, Tensor gateUp, Tensor down) {
    static LayerTensors of(ParameterSet set, String prefix) {
        return new LayerTensors(
            set.stacked(prefix + "self_attn.q_proj.weight", prefix + "self_attn.k_proj.weight", prefix + "self_attn.v_proj.weight"),
            set.get(prefix + "self_attn.q_norm.weight"),
            set.get(prefix + "self_attn.k_norm.weight"),
            set.get(prefix + "self_attn.o_proj.weight"),
            set.get(prefix + "post_attention_layernorm.weight"),
            set.stacked(prefix + "mlp.gate_proj.weight", prefix + "mlp.up_proj.weight"),
            set.get(prefix + "mlp.down_proj.weight"));
    }
}

package org.respec.engine.model;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import org.respec.kernels.AttentionShape;

/**
 * Qwen3's decoder and the EAGLE-3 drafter in libtorch, written from the definition of the architectures alone: no paged cache, no
 * packing, no fused matrices. Truth for values and gradients.
 */
public final class TorchQwen3 {
    private final NDManager manager;
    private final Map<String, NDArray> parameters = new LinkedHashMap<>();

    /** Copies every tensor of {@code set}; gradients are kept for all of them. */
    public TorchQwen3(NDManager manager, ParameterSet set) {
        this.manager = manager;
        MemorySegment bytes = set.download();
        long at = 0;
        for (TensorSpec spec : set.specs()) {
            int size = spec.rows() * spec.cols();
            float[] values = new float[size];
            MemorySegment.copy(bytes, ValueLayout.JAVA_FLOAT, 4 * at, values, 0, size);
            NDArray array = manager.create(values, spec.rows() == 1 ? new Shape(spec.cols()) : new Shape(spec.rows(), spec.cols()));
            array.setRequiresGradient(true);
            parameters.put(spec.name(), array);
            at += size;
        }
    }

    /**
     * A factor, divisor or bound that lives as long as {@code manager}. DJL's operators that take a Number wrap it in a tensor over a
     * direct buffer which nobody holds afterwards, but libtorch reads it once more in backward: after a collection it would read freed
     * memory.
     */
    static NDArray scalar(NDManager manager, double value) {
        return manager.create((float) value);
    }

    Map<String, NDArray> parameters() {
        return parameters;
    }

    NDArray parameter(String name) {
        NDArray array = parameters.get(name);
        if (array == null) {
            throw new IllegalArgumentException("no tensor " + name);
        }
        return array;
    }

    /** Logits [tokens x vocab] of one sequence, and in {@code hidden}, if given, the state after each layer. */
    public NDArray actor(ModelConfig config, int[] tokens, NDArray[] hidden) {
        AttentionShape shape = new AttentionShape(config.numAttentionHeads(), config.numKeyValueHeads(), config.headDim());
        double eps = config.rmsNormEps();
        NDArray x = embed(parameter("model.embed_tokens.weight"), tokens);
        for (int i = 0; i < config.numHiddenLayers(); i++) {
            String prefix = "model.layers." + i + ".";
            NDArray normed = norm(x, parameter(prefix + "input_layernorm.weight"), eps);
            x = layer(prefix, shape, eps, config.ropeTheta(), normed, x, positions(tokens.length, 0), null, null);
            if (hidden != null) {
                hidden[i] = x;
            }
        }
        NDArray head = config.tieWordEmbeddings() ? parameter("model.embed_tokens.weight") : parameter("lm_head.weight");
        return norm(x, parameter("model.norm.weight"), eps).matMul(head.transpose());
    }

    /**
     * Logits of every unrolled step of the drafter over one sequence.
     *
     * @param embedding the actor's embedding, [vocab x hidden]
     * @param features [rows x 3 hidden]
     * @param tokens tokens[s][t] is what row t takes at step s
     */
    NDArray[] drafter(DrafterConfig config, NDArray embedding, NDArray features, int[][] tokens) {
        AttentionShape shape = new AttentionShape(config.numAttentionHeads(), config.numKeyValueHeads(), config.headDim());
        double eps = config.rmsNormEps();
        int rows = tokens[0].length;
        NDArray[] keys = new NDArray[tokens.length];
        NDArray[] values = new NDArray[tokens.length];
        NDArray[] logits = new NDArray[tokens.length];
        NDArray g = features.matMul(parameter("fc.weight").transpose());
        for (int s = 0; s < tokens.length; s++) {
            NDArray e = norm(embed(embedding, tokens[s]), parameter("midlayer.input_layernorm.weight"), eps);
            NDArray input = NDArrays.concat(new NDList(e, norm(g, parameter("midlayer.hidden_norm.weight"), eps)), 1);
            keys[s] = heads(input, "midlayer.self_attn.k", shape.kvHeads(), shape.headDim(), eps, config.ropeTheta(), positions(rows, s));
            values[s] = input.matMul(parameter("midlayer.self_attn.v_proj.weight").transpose())
                .reshape(rows, shape.kvHeads(), shape.headDim());
            g = layer("midlayer.", shape, eps, config.ropeTheta(), input, g, positions(rows, s), java.util.Arrays.copyOf(keys, s + 1),
                java.util.Arrays.copyOf(values, s + 1));
            logits[s] = norm(g, parameter("norm.weight"), eps).matMul(parameter("lm_head.weight").transpose());
        }
        return logits;
    }

    /** One decoder layer; {@code keys} and {@code values} of unrolled steps, or null for plain causal attention. */
    private NDArray layer(String prefix, AttentionShape shape, double eps, double theta, NDArray input, NDArray residual, int[] positions,
                          NDArray[] keys, NDArray[] values) {
        int rows = positions.length;
        int d = shape.headDim();
        NDArray q = heads(input, prefix + "self_attn.q", shape.heads(), d, eps, theta, positions).transpose(1, 0, 2);
        NDArray k = keys != null ? keys[0] : heads(input, prefix + "self_attn.k", shape.kvHeads(), d, eps, theta, positions);
        NDArray v = values != null ? values[0]
            : input.matMul(parameter(prefix + "self_attn.v_proj.weight").transpose()).reshape(rows, shape.kvHeads(), d);
        NDArray scores = q.matMul(spread(k, shape).transpose(0, 2, 1)).div(scalar(manager, Math.sqrt(d))).add(causalMask(rows));
        int extra = keys == null ? 0 : keys.length - 1;
        NDArray all = scores;
        for (int s = 1; s <= extra; s++) {
            NDArray own = q.mul(spread(keys[s], shape)).sum(new int[] {2}, true).div(scalar(manager, Math.sqrt(d)));
            all = NDArrays.concat(new NDList(all, own), 2);
        }
        NDArray p = all.softmax(-1);
        NDArray out = p.get(":, :, :" + rows).matMul(spread(v, shape));
        for (int s = 1; s <= extra; s++) {
            out = out.add(p.get(":, :, " + (rows + s - 1) + ":" + (rows + s)).mul(spread(values[s], shape)));
        }
        NDArray joined = out.transpose(1, 0, 2).reshape(rows, shape.queryWidth());
        NDArray x = residual.add(joined.matMul(parameter(prefix + "self_attn.o_proj.weight").transpose()));
        NDArray normed = norm(x, parameter(prefix + "post_attention_layernorm.weight"), eps);
        NDArray gate = normed.matMul(parameter(prefix + "mlp.gate_proj.weight").transpose());
        NDArray up = normed.matMul(parameter(prefix + "mlp.up_proj.weight").transpose());
        NDArray activated = gate.div(gate.neg().exp().add(1)).mul(up);
        return x.add(activated.matMul(parameter(prefix + "mlp.down_proj.weight").transpose()));
    }

    /** [rows x heads x d]: projected, normalised per head, rotated. */
    private NDArray heads(NDArray input, String name, int heads, int d, double eps, double theta, int[] positions) {
        NDArray projected = input.matMul(parameter(name + "_proj.weight").transpose()).reshape(positions.length, heads, d);
        NDArray x = norm(projected, parameter(name + "_norm.weight"), eps);
        float[] cos = new float[positions.length * d / 2];
        float[] sin = new float[positions.length * d / 2];
        for (int r = 0; r < positions.length; r++) {
            for (int i = 0; i < d / 2; i++) {
                double angle = positions[r] * Math.pow(theta, -2.0 * i / d);
                cos[r * d / 2 + i] = (float) Math.cos(angle);
                sin[r * d / 2 + i] = (float) Math.sin(angle);
            }
        }
        NDArray c = manager.create(cos, new Shape(positions.length, 1, d / 2));
        NDArray s = manager.create(sin, new Shape(positions.length, 1, d / 2));
        NDArray low = x.get(":, :, :" + d / 2);
        NDArray high = x.get(":, :, " + d / 2 + ":");
        return NDArrays.concat(new NDList(low.mul(c).sub(high.mul(s)), high.mul(c).add(low.mul(s))), 2);
    }

    /** [kvHeads...] to [heads x rows x d]: each KV head serves a group of query heads. */
    private static NDArray spread(NDArray kv, AttentionShape shape) {
        return kv.transpose(1, 0, 2).repeat(0, shape.group());
    }

    private NDArray causalMask(int rows) {
        float[] mask = new float[rows * rows];
        for (int r = 0; r < rows; r++) {
            for (int c = r + 1; c < rows; c++) {
                mask[r * rows + c] = -1e30f;
            }
        }
        return manager.create(mask, new Shape(1, rows, rows));
    }

    private static NDArray norm(NDArray x, NDArray weight, double eps) {
        int last = x.getShape().dimension() - 1;
        return x.div(x.square().mean(new int[] {last}, true).add(eps).sqrt()).mul(weight);
    }

    private NDArray embed(NDArray table, int[] tokens) {
        NDArray oneHot = manager.create(tokens).oneHot((int) table.getShape().get(0)).toType(DataType.FLOAT32, false);
        return oneHot.matMul(table);
    }

    private static int[] positions(int rows, int shift) {
        int[] positions = new int[rows];
        for (int i = 0; i < rows; i++) {
            positions[i] = i + shift;
        }
        return positions;
    }
}

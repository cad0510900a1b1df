package org.respec.kernels.gpu;

import java.util.List;
import java.util.Set;

/**
 * Which kernels some work needs, at most: what is compiled before it begins. A kernel that it lacks would be compiled when it is first
 * launched.
 *
 * @param headDim of every attention; 0 for any
 * @param decoding whether tokens are drawn and nothing is trained
 */
public record KernelNeed(int headDim, boolean decoding) {
    /** Every kernel that there is. */
    public static final KernelNeed ALL = new KernelNeed(0, false);
    private static final String HEAD_DIM = "HEAD_DIM";
    private static final Set<String> TRAINING = Set.of("adamw.cu", "chain_attention.cu", "chain_attention_backward.cu", "column_sums.cu",
        "embedding_backward.cu", "kl_distill.cu", "log_probs_backward.cu", "policy_loss.cu", "qk_norm_rope_backward.cu",
        "rms_norm_backward.cu", "squared_norm.cu");

    /** The kernels, in the catalog's order. */
    public List<KernelSpec> specs() {
        return KernelCatalog.all().stream().filter(this::wants).toList();
    }

    private boolean wants(KernelSpec spec) {
        String dim = spec.defines().get(HEAD_DIM);
        return (headDim == 0 || dim == null || dim.equals(String.valueOf(headDim))) && !(decoding && TRAINING.contains(spec.file()));
    }
}

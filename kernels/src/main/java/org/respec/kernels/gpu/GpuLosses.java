package org.respec.kernels.gpu;

import org.respec.kernels.DType;
import org.respec.kernels.DistillationChecks;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;

/** Fused distillation and policy gradient: checks, then launches. */
final class GpuLosses {
    private final KlDistillKernel kernel;
    private final PolicyLossKernel policyLoss;

    GpuLosses(GpuContext gpu) {
        kernel = new KlDistillKernel(gpu);
        policyLoss = new PolicyLossKernel(gpu);
    }

    void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight,
                   Tensor weights, Tensor losses, int rows) {
        real("klDistill", "logits", logits);
        DistillationChecks.topK(logits, ids, logProbs, tails, idMap, tvWeight, weights, losses, rows);
        if (!kernel.fits(logits.cols(), ids.cols())) {
            throw new IllegalArgumentException("klDistill: ids must have at most " + KlDistillKernel.MAX_NAMED
                + " columns, and a bit for each of the logits' columns must fit shared memory, got " + ids + " and " + logits);
        }
        kernel.launch(logits, inverse(temperature), ids, logProbs, tails, idMap, tvWeight, weights, losses, rows);
    }

    void klDistillDense(Tensor logits, float temperature, Tensor teacher, float teacherTemperature, Tensor columns, Tensor weights,
                        Tensor losses, int rows) {
        real("klDistillDense", "logits", logits);
        real("klDistillDense", "teacher", teacher);
        DistillationChecks.dense(logits, teacher, columns, weights, losses, rows);
        kernel.launchDense(logits, inverse(temperature), teacher, inverse(teacherTemperature), columns, weights, losses, rows);
    }

    void policyLoss(Tensor logits, Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, Tensor gradient, int rows) {
        LogitRows.check("policyLoss", logits, rows);
        real("policyLoss", "gradient", gradient);
        terms.check(logits, targets, logProbs, gradient, rows);
        policyLoss.launch(logits, targets, temperature, terms, logProbs, gradient, rows);
    }

    private static void real(String operator, String argument, Tensor tensor) {
        if (tensor.dtype() != DType.F32 && tensor.dtype() != DType.BF16) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be F32 or BF16, got " + tensor);
        }
    }

    private static float inverse(float temperature) {
        return temperature > 0 ? 1f / temperature : 1f;
    }
}

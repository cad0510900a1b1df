package org.respec.kernels.gpu;

import org.respec.kernels.DType;
import org.respec.kernels.DistillationChecks;
import org.respec.kernels.Tensor;

/** Fused distillation: checks, then launches. */
final class GpuLosses {
    private final KlDistillKernel kernel;

    GpuLosses(GpuContext gpu) {
        kernel = new KlDistillKernel(gpu);
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

    private static void real(String operator, String argument, Tensor tensor) {
        if (tensor.dtype() != DType.F32 && tensor.dtype() != DType.BF16) {
            throw new IllegalArgumentException(operator + ": " + argument + " must be F32 or BF16, got " + tensor);
        }
    }

    private static float inverse(float temperature) {
        return temperature > 0 ? 1f / temperature : 1f;
    }
}

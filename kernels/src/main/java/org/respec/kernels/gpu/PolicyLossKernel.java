package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;

/** Launches {@code policy_loss.cu}. */
final class PolicyLossKernel {
    private static final KernelSpec BASE = KernelSpec.of("policy_loss.cu", "policy_loss");

    private final GpuContext gpu;
    private final Arguments arguments;
    private final TypedKernels kernels;

    PolicyLossKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(120);
        this.kernels = new TypedKernels(gpu, BASE, "GRADIENT_BF16");
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return TypedKernels.specs(BASE, "GRADIENT_BF16");
    }

    void launch(Tensor logits, Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, Tensor gradient, int rows) {
        if (rows == 0) {
            return;
        }
        arguments.begin().address(logits).address(gradient).address(targets).address(terms.weights()).address(terms.advantages())
            .address(address(terms.old())).address(address(terms.reference())).address(address(terms.rollout())).address(logProbs)
            .address(gpu.faults().address()).integer64(logits.rowStride()).integer64(gradient.rowStride()).integer(logits.cols())
            .real(LogitRows.inverse(temperature)).real(terms.clipLow()).real(terms.clipHigh()).real(terms.klCoefficient())
            .real(terms.cap());
        gpu.stream().launch(kernels.get(logits.dtype(), gradient.dtype()), rows, 1, 1, LogitRows.rowThreads(logits), 1, 0, arguments.end());
    }

    private static long address(Tensor vector) {
        return vector == null ? 0 : vector.address();
    }
}

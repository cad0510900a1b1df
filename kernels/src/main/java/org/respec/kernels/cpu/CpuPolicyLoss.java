package org.respec.kernels.cpu;

import org.respec.bindings.memory.HostArena;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;

/** The policy-gradient loss: log-probabilities, then each row's coefficient in double precision, then the gradient in place. */
final class CpuPolicyLoss implements AutoCloseable {
    private final CpuSampling sampling;
    private final CpuElementwise elementwise;
    private HostArena memory;
    private Tensor coefficients;

    CpuPolicyLoss(CpuSampling sampling, CpuElementwise elementwise) {
        this.sampling = sampling;
        this.elementwise = elementwise;
    }

    void policyLoss(Tensor logits, Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, Tensor gradient, int rows) {
        Checks.dtype("policyLoss", "logits", logits, DType.F32);
        Checks.dtype("policyLoss", "gradient", gradient, DType.F32);
        terms.check(logits, targets, logProbs, gradient, rows);
        if (gradient.address() != logits.address()) {
            elementwise.copy(logits, gradient, rows);
        }
        sampling.logProbs(gradient, targets, temperature, logProbs, rows);
        Tensor c = coefficients(rows);
        for (int r = 0; r < rows; r++) {
            float weight = at(terms.weights(), r);
            float coefficient = weight == 0 ? 0 : (float) coefficient(terms, r, weight, at(logProbs, r));
            Simd.put(c.address() + 4L * r, coefficient);
            if (weight == 0) {
                Simd.put(logProbs.address() + 4L * r, 0f);
            }
        }
        sampling.logProbsBackward(gradient, targets, temperature, c, rows);
    }

    /** Derivative of the row's weighted loss by its log-probability. */
    private static double coefficient(PolicyTerms terms, int r, double weight, float logProb) {
        float advantage = at(terms.advantages(), r);
        float anchor = terms.old() == null ? logProb : at(terms.old(), r);
        double ratio = Math.exp(logProb - anchor);
        boolean clipped = advantage >= 0 ? (float) ratio > 1 + terms.clipHigh() : (float) ratio < 1 - terms.clipLow();
        double slope = clipped ? 0 : -advantage * ratio;
        if (terms.reference() != null) {
            slope += terms.klCoefficient() * (1 - Math.exp(at(terms.reference(), r) - logProb));
        }
        if (terms.rollout() != null) {
            weight *= Math.min(Math.exp(anchor - at(terms.rollout(), r)), terms.cap());
        }
        return weight * slope;
    }

    private static float at(Tensor vector, int r) {
        return Simd.get(vector.address() + 4L * r);
    }

    private Tensor coefficients(int rows) {
        if (coefficients == null || coefficients.cols() < rows) {
            close();
            memory = new HostArena("policy loss");
            int capacity = Math.max(64, Integer.highestOneBit(Math.max(1, rows - 1)) * 2);
            coefficients = new Tensor(DType.F32, 1, capacity, capacity, 0, new HostStorage(memory, 4L * capacity));
        }
        return coefficients;
    }

    @Override
    public void close() {
        if (memory != null) {
            memory.close();
        }
    }
}

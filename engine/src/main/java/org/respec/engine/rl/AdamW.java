package org.respec.engine.rl;

import org.respec.engine.model.ParameterSet;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;

/** AdamW (Loshchilov and Hutter, 2019) with global-norm clipping over one {@link ParameterSet}. Owns gradients and moments. */
public final class AdamW implements AutoCloseable {
    /** Settings; {@code maxGradNorm} 0 never clips. */
    public record Settings(float beta1, float beta2, float eps, float weightDecay, float maxGradNorm) {
    }

    /** How moments are kept. */
    public enum Moments {
        /** In 32 bits on the device. */
        F32,
        /** In 16 bits, where the device stores them. */
        BF16,
        /** In 32 bits in page-locked host memory, for a device that has memory of its own: every step moves them there and back. */
        HOST;

        private ParameterSet allocate(Ops ops, String name, ParameterSet weights) {
            return switch (this) {
                case F32 -> new ParameterSet(ops, name, weights.specs());
                case BF16 -> new ParameterSet(ops, name, weights.specs(), DType.BF16);
                case HOST -> ParameterSet.pinned(ops, name, weights.specs());
            };
        }
    }

    private final Ops ops;
    private final ParameterSet weights;
    private final ParameterSet gradients;
    private final ParameterSet first;
    private final ParameterSet second;
    private final Settings settings;
    private int step;

    /** An optimizer of F32 weights, which an actor or drafter may compute with in another type; moments are F32. */
    public AdamW(Ops ops, ParameterSet weights, Settings settings) {
        this(ops, weights, settings, Moments.F32);
    }

    /** The same with moments kept in a way of choice. */
    public AdamW(Ops ops, ParameterSet weights, Settings settings, Moments moments) {
        this.ops = ops;
        this.weights = weights;
        this.settings = settings;
        gradients = new ParameterSet(ops, "gradients", weights.specs());
        first = moments.allocate(ops, "first moments", weights);
        second = moments.allocate(ops, "second moments", weights);
    }

    /** Where backward passes add to; {@link #step} leaves it zeroed. */
    public ParameterSet gradients() {
        return gradients;
    }

    /** Running means of gradients, in the order of the weights. */
    public ParameterSet firstMoments() {
        return first;
    }

    /** Running means of squared gradients, in the order of the weights. */
    public ParameterSet secondMoments() {
        return second;
    }

    /** Steps taken so far. */
    public int steps() {
        return step;
    }

    /** Sets the number of steps taken, for resuming. */
    public void restore(int steps) {
        this.step = steps;
    }

    /**
     * Clips, updates the weights and their copy in another type, if they have one, clears the gradients.
     *
     * @return norm of the gradient before clipping; where it is not finite the weights are left alone
     */
    public double step(float learningRate) {
        double squares = 0;
        for (Tensor block : gradients.blocks()) {
            squares += ops.squaredNorm(block);
        }
        double norm = Math.sqrt(squares);
        if (Double.isFinite(norm)) {
            float max = settings.maxGradNorm();
            float scale = max > 0 && norm > max ? (float) (max / norm) : 1f;
            step++;
            for (int i = 0; i < weights.blocks().size(); i++) {
                update(i, learningRate, scale);
            }
        }
        gradients.fill(0f);
        return norm;
    }

    private void update(int block, float learningRate, float scale) {
        Tensor w = weights.blocks().get(block);
        Tensor g = gradients.blocks().get(block);
        Tensor m = first.blocks().get(block);
        Tensor v = second.blocks().get(block);
        if (weights.copy() == null) {
            ops.adamW(w, g, m, v, learningRate, settings.beta1(), settings.beta2(), settings.eps(), settings.weightDecay(), step, scale);
        } else {
            Tensor copy = weights.copy().blocks().get(block);
            ops.adamWConvert(w, copy, g, m, v, learningRate, settings.beta1(), settings.beta2(), settings.eps(), settings.weightDecay(),
                step, scale);
        }
    }

    @Override
    public void close() {
        gradients.close();
        first.close();
        second.close();
    }
}

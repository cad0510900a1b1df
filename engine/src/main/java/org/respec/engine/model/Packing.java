package org.respec.engine.model;

import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Weights as forward products take them. */
final class Packing {
    private Packing() {
    }

    /**
     * A copy of an F32 weight, which an optimizer may change before it is published. BF16 weights are changed by publishing alone and
     * need none.
     */
    static PackedMatrix of(Ops ops, TensorArena arena, Tensor weight) {
        return weight.dtype() == DType.F32 ? ops.pack(arena, weight) : ops.share(arena, weight);
    }
}

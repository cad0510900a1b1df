package org.respec.engine.model;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Cosines and sines of rotary position embedding (Su et al., 2021), computed once in double precision. */
final class RopeTable {
    private RopeTable() {
    }

    /** F32 [positions x headDim]: headDim/2 cosines of {@code position * theta^(-2i/headDim)}, then as many sines. */
    static Tensor build(Ops ops, TensorArena arena, int positions, int headDim, double theta) {
        HostMirror table = arena.mirror(DType.F32, positions, headDim);
        MemorySegment host = table.host().host();
        int half = headDim / 2;
        for (int i = 0; i < half; i++) {
            double frequency = Math.pow(theta, -2.0 * i / headDim);
            for (int p = 0; p < positions; p++) {
                double angle = p * frequency;
                host.setAtIndex(ValueLayout.JAVA_FLOAT, (long) p * headDim + i, (float) Math.cos(angle));
                host.setAtIndex(ValueLayout.JAVA_FLOAT, (long) p * headDim + half + i, (float) Math.sin(angle));
            }
        }
        ops.push(table, (long) positions * headDim);
        return table.device();
    }
}

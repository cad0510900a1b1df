package org.respec.engine.model;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Fresh weights like {@link Initializer}'s, but laid out on the device from one block of random values a scale, end to end, so that
 * models of any size are made without a copy on the host. For measuring speed: values repeat every {@value #BLOCK} elements.
 */
public final class DeviceInitializer {
    /** A prime, so that the rows of no matrix repeat each other, as they would where a row's length divides it. */
    private static final int BLOCK = 262_139;
    /** Stands for the scale of a block that holds ones: norms begin so. */
    private static final double ONES = 0;

    private DeviceInitializer() {
    }

    /** Fills {@code weights}; see {@link Initializer#fill}. */
    public static void fill(Ops ops, ParameterSet weights, int layers, long seed) {
        try (TensorArena arena = ops.arena("initial values")) {
            Map<Double, Tensor> blocks = new HashMap<>();
            for (TensorSpec spec : weights.specs()) {
                double scale = spec.name().endsWith("norm.weight") ? ONES : Initializer.scale(spec, layers);
                tile(ops, blocks.computeIfAbsent(scale, s -> block(ops, arena, weights.dtype(), seed, s)), weights.get(spec.name()));
            }
            ops.synchronize();
        }
    }

    /** Fills a tensor without gaps with normal values of this standard deviation. */
    public static void fill(Ops ops, Tensor target, double scale, long seed) {
        try (TensorArena arena = ops.arena("initial values")) {
            tile(ops, block(ops, arena, target.dtype(), seed, scale), target);
            ops.synchronize();
        }
    }

    private static Tensor block(Ops ops, TensorArena arena, DType dtype, long seed, double scale) {
        HostMirror mirror = arena.mirror(DType.F32, 1, BLOCK);
        MemorySegment host = mirror.host().host();
        for (int i = 0; i < BLOCK; i++) {
            host.setAtIndex(ValueLayout.JAVA_FLOAT, i, scale == ONES ? 1f : (float) (scale * Initializer.normal(seed, i)));
        }
        ops.push(mirror, BLOCK);
        Tensor block = arena.allocate(dtype, 1, BLOCK);
        ops.convert(mirror.device(), block, 1);
        return block;
    }

    private static void tile(Ops ops, Tensor block, Tensor target) {
        long size = target.size();
        for (long at = 0; at < size; at += BLOCK) {
            int count = (int) Math.min(BLOCK, size - at);
            ops.copy(block.columns(0, count), new Tensor(target.dtype(), 1, count, count, target.offset() + at, target.storage()), 1);
        }
    }
}

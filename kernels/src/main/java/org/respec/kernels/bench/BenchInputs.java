package org.respec.kernels.bench;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Makes one case's inputs on the device. Random values come from one block of normal deviates, laid end to end: never zeros, which
 * toggle fewer wires and so run at higher clocks.
 */
public final class BenchInputs {
    private static final int BLOCK = 1 << 18;

    private final Ops ops;
    private final TensorArena arena;
    private final SplittableRandom random;
    private final Map<DType, Tensor> blocks = new EnumMap<>(DType.class);

    BenchInputs(Ops ops, TensorArena arena, long seed) {
        this.ops = ops;
        this.arena = arena;
        this.random = new SplittableRandom(seed);
    }

    /** The operators that are timed. */
    public Ops ops() {
        return ops;
    }

    /** Where inputs are allocated. */
    public TensorArena arena() {
        return arena;
    }

    /** What inputs are drawn from, the same for the same case. */
    public SplittableRandom random() {
        return random;
    }

    /** Uninitialised as far as the case is concerned: for outputs. */
    public Tensor empty(DType dtype, int rows, int cols) {
        return arena.allocate(dtype, rows, cols);
    }

    /** Standard normal values. */
    public Tensor normal(DType dtype, int rows, int cols) {
        Tensor block = blocks.computeIfAbsent(dtype, this::block);
        Tensor x = arena.allocate(dtype, rows, cols);
        for (long at = 0; at < x.size(); at += BLOCK) {
            int count = (int) Math.min(BLOCK, x.size() - at);
            ops.copy(new Tensor(dtype, 1, count, count, block.offset(), block.storage()),
                new Tensor(dtype, 1, count, count, x.offset() + at, x.storage()), 1);
        }
        return x;
    }

    private Tensor block(DType dtype) {
        HostMirror mirror = arena.mirror(dtype, 1, BLOCK);
        MemorySegment host = mirror.host().host();
        for (int i = 0; i < BLOCK; i++) {
            float value = (float) (Math.sqrt(-2 * Math.log(1 - random.nextDouble())) * Math.cos(2 * Math.PI * random.nextDouble()));
            if (dtype == DType.BF16) {
                int bits = Float.floatToRawIntBits(value);
                host.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16));
            } else {
                host.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            }
        }
        ops.push(mirror, BLOCK);
        ops.synchronize();
        return mirror.device();
    }

    /** An F32 vector of one value. */
    public Tensor constant(int count, float value) {
        Tensor x = arena.allocate(DType.F32, 1, count);
        ops.fill(x, value);
        return x;
    }

    /** I32 values by index, on host and device. */
    public HostMirror ints(int rows, int cols, IntUnaryOperator value) {
        HostMirror mirror = arena.mirror(DType.I32, rows, cols);
        fill(mirror, value);
        return mirror;
    }

    /** I32 values by index, up to the mirror's end. */
    public void fill(HostMirror mirror, IntUnaryOperator value) {
        MemorySegment host = mirror.host().host();
        int count = Math.toIntExact(mirror.host().size());
        for (int i = 0; i < count; i++) {
            host.setAtIndex(ValueLayout.JAVA_INT, i, value.applyAsInt(i));
        }
        ops.push(mirror, count);
    }

    /** Uniform indices under {@code bound}. */
    public HostMirror indices(int count, int bound) {
        return ints(1, count, i -> random.nextInt(bound));
    }

    /** 0 to {@code count - 1} in random order. */
    public int[] permutation(int count) {
        int[] order = new int[count];
        for (int i = 0; i < count; i++) {
            int j = random.nextInt(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }
}

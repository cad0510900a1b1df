package org.respec.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Operators that compute nothing on a device that has no memory: whatever allocates through them tells what it would take on the device
 * they stand for, in the places where it would, before anything is allocated there. Mirrors have a host side, for those who fill it.
 */
public final class SizingOps {
    private final Map<String, Long> bytes = new LinkedHashMap<>();
    private final Ops device;
    private final Ops ops;
    private long hostBytes;

    /** @param device whose packing, types and sizes of allocations it has */
    public SizingOps(Ops device) {
        this.device = device;
        ops = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class},
            (proxy, method, arguments) -> answer(device, method, arguments));
    }

    /** The operators. */
    public Ops ops() {
        return ops;
    }

    /** Device bytes by the names of arenas, in the order they were made; what was closed counts no more. */
    public Map<String, Long> bytes() {
        return bytes;
    }

    /** Bytes of page-locked host memory: the hosts' sides of mirrors, and what was asked for as such; what was closed counts no more. */
    public long hostBytes() {
        return hostBytes;
    }

    private Object answer(Ops device, Method method, Object[] arguments) {
        return switch (method.getName()) {
            case "arena" -> new SizingArena((String) arguments[0]);
            case "device" -> device.device();
            case "stores" -> device.stores((DType) arguments[0]);
            case "pack" -> pack((TensorArena) arguments[0], (Tensor) arguments[1]);
            case "share" -> new Packed(((Tensor) arguments[1]).rows(), ((Tensor) arguments[1]).cols());
            case "replay" -> new DirectReplay();
            case "stageClock" -> new HostStageClock();
            case "squaredNorm" -> 0.0;
            case "freeBytes" -> Long.MAX_VALUE;
            case "hashCode" -> System.identityHashCode(this);
            case "equals" -> arguments[0] == ops;
            case "toString" -> "sizes on " + device.device();
            default -> {
                if (method.getReturnType() != void.class) {
                    throw new UnsupportedOperationException(method.getName() + " on operators that only measure");
                }
                yield null;
            }
        };
    }

    private record Packed(int outputs, int inputs) implements PackedMatrix {
    }

    private static PackedMatrix pack(TensorArena arena, Tensor weight) {
        arena.allocate(weight.dtype(), weight.rows(), weight.cols());
        return new Packed(weight.rows(), weight.cols());
    }

    /** Memory that is not there; the host's side of a mirror comes to be when it is asked for. */
    private static final class Nowhere implements Storage {
        private final long bytes;
        private final boolean onHost;
        private MemorySegment segment;

        Nowhere(long bytes, boolean onHost) {
            this.bytes = bytes;
            this.onHost = onHost;
        }

        @Override
        public long bytes() {
            return bytes;
        }

        @Override
        public MemorySegment host() {
            if (!onHost) {
                throw new IllegalStateException("a tensor that is only measured has no bytes");
            }
            segment = segment == null ? Arena.ofAuto().allocate(bytes, 64) : segment;
            return segment;
        }

        @Override
        public long address() {
            return onHost ? host().address() : 0;
        }
    }

    private final class SizingArena implements TensorArena {
        private final String name;
        private long own;
        private long ownOnHost;
        private boolean closed;

        SizingArena(String name) {
            this.name = name;
            bytes.merge(name, 0L, Long::sum);
        }

        private Tensor tensor(DType dtype, int rows, int cols, boolean onHost) {
            long size = Math.multiplyExact(Math.multiplyExact((long) rows, (long) cols), dtype.bytes());
            if (onHost) {
                ownOnHost += size;
                hostBytes += size;
            } else {
                long taken = device.allocationBytes(size);
                own += taken;
                bytes.merge(name, taken, Long::sum);
            }
            return new Tensor(dtype, rows, cols, cols, 0, new Nowhere(size, onHost));
        }

        @Override
        public Tensor allocate(DType dtype, int rows, int cols) {
            return tensor(dtype, rows, cols, false);
        }

        @Override
        public Tensor pinned(DType dtype, int rows, int cols) {
            return tensor(dtype, rows, cols, true);
        }

        @Override
        public HostMirror mirror(DType dtype, int rows, int cols) {
            return new HostMirror(tensor(dtype, rows, cols, true), tensor(dtype, rows, cols, false));
        }

        @Override
        public long bytes() {
            return own;
        }

        @Override
        public void close() {
            if (!closed) {
                closed = true;
                bytes.merge(name, -own, Long::sum);
                hostBytes -= ownOnHost;
            }
        }
    }
}

package org.respec.kernels.gpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.gpu.PinnedMemory;

/** A device of host memory alone: its streams copy at once and refuse all else. For {@link DelayingDriver}, which has the events. */
final class CopyingDriver implements GpuDriver {
    private final Arena arena = Arena.ofShared();
    private final GpuDevice device;

    CopyingDriver() {
        this(new GpuDevice("copies", "none", "", 1, 48 << 10, 0, 1L << 30, 0));
    }

    /** With the properties of another device. */
    CopyingDriver(GpuDevice device) {
        this.device = device;
    }

    private record Memory(MemorySegment segment) implements GpuMemory, PinnedMemory {
        @Override
        public long address() {
            return segment.address();
        }

        @Override
        public long bytes() {
            return segment.byteSize();
        }

        @Override
        public boolean isAlive() {
            return segment.scope().isAlive();
        }

        @Override
        public void close() {
            // Lives as long as the driver.
        }
    }

    private static Object stream(Object stream, Method method, Object[] a) {
        switch (method.getName()) {
            case "copyIn" -> MemorySegment.copy((MemorySegment) a[0], (long) a[1], ((Memory) a[2]).segment, (long) a[3], (long) a[4]);
            case "copyOut" -> MemorySegment.copy(((Memory) a[0]).segment, (long) a[1], (MemorySegment) a[2], (long) a[3], (long) a[4]);
            default -> owned(stream, method, a);
        }
        return null;
    }

    /** Of what it may be asked, all that is owned can be closed. */
    private static Object owned(Object owned, Method method, Object[] arguments) {
        if (!method.getName().equals("close")) {
            throw refused(method.getName());
        }
        return null;
    }

    private static UnsupportedOperationException refused(String what) {
        return new UnsupportedOperationException(what);
    }

    private static <T> T proxy(Class<T> type, InvocationHandler handler) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
    }

    @Override
    public GpuDevice device() {
        return device;
    }

    @Override
    public GpuMemory allocate(long bytes) {
        return new Memory(arena.allocate(bytes, 256));
    }

    @Override
    public PinnedMemory allocatePinned(long bytes) {
        return new Memory(arena.allocate(bytes, 256));
    }

    @Override
    public GpuStream stream() {
        return proxy(GpuStream.class, CopyingDriver::stream);
    }

    @Override
    public GpuStream urgentStream() {
        return stream();
    }

    @Override
    public GpuEvent event() {
        throw refused("event");
    }

    @Override
    public KernelImage compile(KernelSource source) {
        throw refused("compile");
    }

    @Override
    public GpuModule load(KernelImage image) {
        throw refused("load");
    }

    @Override
    public GpuBlas blas(GpuStream stream) {
        return proxy(GpuBlas.class, CopyingDriver::owned);
    }

    @Override
    public long blasBytes() {
        return 0;
    }

    @Override
    public long freeBytes() {
        return 1L << 30;
    }

    @Override
    public void close() {
        arena.close();
    }
}

package org.respec.kernels.gpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.gpu.PinnedMemory;

/** Memory and a stream whose copies happen as late as a device may do them: when the host waits. Runs no kernels. */
final class LateDriver implements GpuDriver {
    private final Arena arena = Arena.ofShared();
    private final ArrayDeque<Runnable> work = new ArrayDeque<>();
    private int waits;

    /** How often the host has waited with work to do. */
    int waits() {
        return waits;
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

    private final class Event implements GpuEvent {
        private boolean done = true;

        @Override
        public void synchronize() {
            waits += done ? 0 : 1;
            while (!done) {
                work.removeFirst().run();
            }
        }

        @Override
        public boolean isDone() {
            return done;
        }

        @Override
        public double secondsSince(GpuEvent earlier) {
            throw new UnsupportedOperationException("no clock");
        }

        @Override
        public void close() {
            // Owns nothing.
        }
    }

    private final class Stream implements GpuStream {
        @Override
        public void copyIn(MemorySegment from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
            work.add(() -> MemorySegment.copy(from, fromOffset, ((Memory) to).segment, toOffset, bytes));
        }

        @Override
        public void copyOut(GpuMemory from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
            work.add(() -> MemorySegment.copy(((Memory) from).segment, fromOffset, to, toOffset, bytes));
        }

        @Override
        public void copy(GpuMemory from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
            throw new UnsupportedOperationException("copy");
        }

        @Override
        public void fill(GpuMemory to, long toOffset, int word, long count) {
            throw new UnsupportedOperationException("fill");
        }

        @Override
        public void launch(GpuKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
                           MemorySegment arguments) {
            throw new UnsupportedOperationException("launch");
        }

        @Override
        public void record(GpuEvent event) {
            ((Event) event).done = false;
            work.add(() -> ((Event) event).done = true);
        }

        @Override
        public void await(GpuEvent event) {
            throw new UnsupportedOperationException("await");
        }

        @Override
        public void synchronize() {
            while (!work.isEmpty()) {
                work.removeFirst().run();
            }
        }

        @Override
        public void beginCapture() {
            throw new UnsupportedOperationException("beginCapture");
        }

        @Override
        public GpuGraph endCapture() {
            throw new UnsupportedOperationException("endCapture");
        }

        @Override
        public void close() {
            // Owns nothing.
        }
    }

    @Override
    public GpuDevice device() {
        return new GpuDevice("late", "none", "", 1, 48 << 10, 0, 1L << 30, 0);
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
        return new Stream();
    }

    @Override
    public GpuStream urgentStream() {
        return stream();
    }

    @Override
    public GpuEvent event() {
        return new Event();
    }

    @Override
    public KernelImage compile(KernelSource source) {
        throw new UnsupportedOperationException("compile");
    }

    @Override
    public GpuModule load(KernelImage image) {
        throw new UnsupportedOperationException("load");
    }

    @Override
    public GpuBlas blas(GpuStream stream) {
        return new GpuBlas() {
            @Override
            public void gemm(boolean transposeA, boolean transposeB, int m, int n, int k, Type inputs, long a, int lda, long b, int ldb,
                             float beta, Type output, long c, int ldc) {
                throw new UnsupportedOperationException("gemm");
            }

            @Override
            public void close() {
                // Owns nothing.
            }
        };
    }

    @Override
    public long freeBytes() {
        return 1L << 30;
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}

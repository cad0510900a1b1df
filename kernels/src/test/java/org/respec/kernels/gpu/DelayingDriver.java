package org.respec.kernels.gpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
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

/**
 * Another driver whose streams do their work when a device might: as late as they may (when the host waits for them, or when a stream that
 * is at work has come to an event of them), at once, or now and then; so streams that should wait for each other and do not are found out.
 * For one thread; graphs are refused.
 */
final class DelayingDriver implements GpuDriver {
    private final GpuDriver inner;
    private final Arena arguments = Arena.ofShared();
    private final List<Stream> streams = new ArrayList<>();
    /** Null where all streams are late. */
    private final SplittableRandom random;
    private int waits;

    private DelayingDriver(GpuDriver inner, SplittableRandom random) {
        this.inner = inner;
        this.random = random;
    }

    /** With streams that are all late; {@code inner} does its work when it is asked for, and is closed with this. */
    static DelayingDriver late(GpuDriver inner) {
        return new DelayingDriver(inner, null);
    }

    /** With streams whose zeal is drawn. */
    static DelayingDriver drawn(GpuDriver inner, long seed) {
        return new DelayingDriver(inner, new SplittableRandom(seed));
    }

    /** How often the host has waited for an event with work to do before it. */
    int waits() {
        return waits;
    }

    private enum Zeal { LATE, AT_ONCE, NOW_AND_THEN }

    private GpuStream add(GpuStream now) {
        Stream stream = new Stream(now, random == null ? Zeal.LATE : Zeal.values()[random.nextInt(3)]);
        streams.add(stream);
        return stream;
    }

    /** Something was asked for: streams that are not late may work. */
    private void tick() {
        for (Stream stream : streams) {
            if (stream.zeal == Zeal.AT_ONCE || stream.zeal == Zeal.NOW_AND_THEN && random.nextInt(4) == 0) {
                stream.workUntil(stream.asked);
            }
        }
    }

    private final class Event implements GpuEvent {
        private Stream stream;
        private long place;
        private long nanos;

        @Override
        public void synchronize() {
            if (!isDone()) {
                waits++;
                stream.workUntil(place);
            }
        }

        @Override
        public boolean isDone() {
            return stream == null || stream.done >= place;
        }

        @Override
        public double secondsSince(GpuEvent earlier) {
            return (nanos - ((Event) earlier).nanos) * 1e-9;
        }

        @Override
        public void close() {
            // Owns nothing.
        }
    }

    private final class Stream implements GpuStream {
        private final GpuStream now;
        private final Zeal zeal;
        private final ArrayDeque<Runnable> work = new ArrayDeque<>();
        private long asked;
        private long done;

        Stream(GpuStream now, Zeal zeal) {
            this.now = now;
            this.zeal = zeal;
        }

        private void later(Runnable piece) {
            work.add(piece);
            asked++;
            tick();
        }

        private void workUntil(long place) {
            while (done < place) {
                work.removeFirst().run();
                done++;
            }
        }

        @Override
        public void copyIn(MemorySegment from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
            later(() -> now.copyIn(from, fromOffset, to, toOffset, bytes));
        }

        @Override
        public void copyOut(GpuMemory from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
            later(() -> now.copyOut(from, fromOffset, to, toOffset, bytes));
        }

        @Override
        public void copy(GpuMemory from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
            later(() -> now.copy(from, fromOffset, to, toOffset, bytes));
        }

        @Override
        public void fill(GpuMemory to, long toOffset, int word, long count) {
            later(() -> now.fill(to, toOffset, word, count));
        }

        @Override
        public void launch(GpuKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
                           MemorySegment struct) {
            MemorySegment copy = arguments.allocate(struct.byteSize(), 16).copyFrom(struct);
            later(() -> now.launch(kernel, gridX, gridY, gridZ, blockX, blockY, sharedBytes, copy));
        }

        @Override
        public void record(GpuEvent event) {
            Event marked = (Event) event;
            later(() -> marked.nanos = System.nanoTime());
            marked.stream = this;
            marked.place = asked;
        }

        @Override
        public void await(GpuEvent event) {
            Stream other = ((Event) event).stream;
            long place = ((Event) event).place;
            later(() -> other.workUntil(place));
        }

        @Override
        public void synchronize() {
            workUntil(asked);
        }

        @Override
        public long launches() {
            return now.launches();
        }

        @Override
        public long waits() {
            throw new UnsupportedOperationException("waits");
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
            streams.remove(this);
            now.close();
        }
    }

    @Override
    public GpuDevice device() {
        return inner.device();
    }

    @Override
    public GpuMemory allocate(long bytes) {
        return inner.allocate(bytes);
    }

    @Override
    public PinnedMemory allocatePinned(long bytes) {
        return inner.allocatePinned(bytes);
    }

    @Override
    public GpuStream stream() {
        return add(inner.stream());
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
        return inner.compile(source);
    }

    @Override
    public GpuModule load(KernelImage image) {
        return inner.load(image);
    }

    @Override
    public GpuBlas blas(GpuStream stream) {
        Stream own = (Stream) stream;
        GpuBlas now = inner.blas(own.now);
        return new GpuBlas() {
            @Override
            public void gemm(boolean transposeA, boolean transposeB, int m, int n, int k, Type inputs, long a, int lda, long b, int ldb,
                             float beta, Type output, long c, int ldc) {
                own.later(() -> now.gemm(transposeA, transposeB, m, n, k, inputs, a, lda, b, ldb, beta, output, c, ldc));
            }

            @Override
            public void close() {
                now.close();
            }
        };
    }

    @Override
    public long blasBytes() {
        return inner.blasBytes();
    }

    @Override
    public long allocationBytes(long bytes) {
        return inner.allocationBytes(bytes);
    }

    @Override
    public long freeBytes() {
        return inner.freeBytes();
    }

    @Override
    public void close() {
        inner.close();
        arguments.close();
    }
}

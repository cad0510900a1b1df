package org.respec.kernels.bench;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.memory.HostArena;
import org.respec.kernels.DType;
import org.respec.kernels.OutOfDeviceMemory;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.gpu.GpuOps;

/**
 * Measures operators on a GPU. Every repeat runs between two events, on inputs that take turns and together are larger than the L2 cache,
 * after a flush: a write over more than twice that cache, which drives out all it held, then a read of as much, which drives out what was
 * written, so that nothing is written back while a repeat runs. The flush takes the device longer than it takes the host to launch the
 * repeat, so the device never waits between the events. Nothing is measured before it has run often enough to be compiled, loaded and at
 * speed.
 *
 * <p>One thread at a time; closing it does not close the operators.
 */
public final class KernelBench implements AutoCloseable {
    /** Of every attention among the cases, but for the tiny ones. */
    public static final int HEAD_DIM = 128;
    private static final int MOST_COPIES = 8;
    /** The ceilings come first, on a device that may have been idle and takes a while to come to speed. */
    private static final double IDLE_WARM_UPS = 5;
    /** CUDA's launch queues are said to hold 1024. */
    private static final int QUEUED_LAUNCHES = 512;
    private static final String NOTHING = """
        struct Args {
            unsigned long long unused;
        };
        extern "C" __global__ void nothing(const __grid_constant__ Args a) {
        }
        """;
    private static final int FLUSH_WORD = 0x3f9d70a4;

    private final GpuOps ops;
    private final GpuDriver driver;
    private final GpuStream stream;
    private final Effort effort;
    private final GpuMemory flush;
    private final TensorArena arena;
    private final Runnable readFlush;

    /**
     * How long measuring may take.
     *
     * @param warmUpSeconds least time of warm-up, of at least {@code leastRepeats} runs
     * @param seconds time aimed at for the repeats of a case
     * @param leastRepeats of a case
     * @param mostRepeats of a case
     * @param hostCalls calls in a row for the host's time, fewer where one takes long
     * @param copyElements bf16 elements of the copy ceiling's tensor
     * @param gemmSize of the matrix-product ceiling
     */
    public record Effort(double warmUpSeconds, double seconds, int leastRepeats, int mostRepeats, int hostCalls, int copyElements,
                         int gemmSize) {
        /** On a GPU: a copy of 1 GiB, beside which what the events show of an empty kernel is little, and a product of 8192 cubed. */
        public static Effort full() {
            return new Effort(0.1, 0.3, 7, 100, 200, 1 << 29, 8192);
        }

        /** For the emulator, whose times say nothing about a GPU: just enough to run every line. */
        public static Effort tiny() {
            return new Effort(0, 0, 1, 1, 1, 1 << 12, 32);
        }

        /** Tiny on an emulated device, else full. */
        public static Effort of(GpuDevice device) {
            return device.uuid().isEmpty() ? tiny() : full();
        }
    }

    public KernelBench(GpuOps ops, Effort effort) {
        this.ops = ops;
        this.effort = effort;
        this.driver = ops.driver();
        this.stream = ops.stream();
        long l2 = Math.max(driver.device().l2Bytes(), 1 << 10);
        this.flush = driver.allocate((2 * l2 + l2 / 4) / 4 * 4);
        this.arena = ops.arena("bench flush");
        this.readFlush = reading(flush.bytes());
    }

    /** A product of one row with a weight of so many bytes: it reads them all and writes next to nothing. */
    private Runnable reading(long bytes) {
        BenchInputs inputs = new BenchInputs(ops, arena, 2);
        int cols = 1 << 10;
        int rows = Math.toIntExact(bytes / DType.BF16.bytes() / cols + 1);
        PackedMatrix weight = ops.share(arena, inputs.normal(DType.BF16, rows, cols));
        Tensor x = inputs.normal(DType.BF16, 1, cols);
        Tensor y = inputs.empty(DType.BF16, 1, rows);
        return () -> ops.linear(x, weight, y, false, 1);
    }

    /** Bytes that a plain copy reads and writes per second, by the median of its repeats. */
    public double copyBytesPerSecond() {
        try (TensorArena arena = ops.arena("bench copy")) {
            int cols = 1 << 10;
            Tensor from = new BenchInputs(ops, arena, 1).normal(DType.BF16, effort.copyElements / cols, cols);
            Tensor to = arena.allocate(DType.BF16, from.rows(), cols);
            return copyBytes() / time(List.of(() -> ops.copy(from, to, from.rows())), IDLE_WARM_UPS * effort.warmUpSeconds).median;
        }
    }

    private long copyBytes() {
        return 2L * effort.copyElements * DType.BF16.bytes();
    }

    /** Measures the ceilings. */
    public Ceilings ceilings() {
        double copy = copyBytesPerSecond();
        try (TensorArena arena = ops.arena("bench ceilings")) {
            BenchInputs inputs = new BenchInputs(ops, arena, 1);
            int n = effort.gemmSize;
            Tensor a = inputs.normal(DType.BF16, n, n);
            Tensor b = inputs.normal(DType.BF16, n, n);
            Tensor c = inputs.empty(DType.BF16, n, n);
            Tensor one = inputs.empty(DType.F32, 1, 1);
            Timing smallest = time(List.of(() -> ops.fill(one, 1f)));
            try (GpuBlas blas = driver.blas(stream)) {
                Timing gemm = time(List.of(() -> blas.gemm(false, true, n, n, n, GpuBlas.Type.BF16, a.address(), n, b.address(), n, 0f,
                    GpuBlas.Type.BF16, c.address(), n)));
                return new Ceilings(copyBytes(), copy, n, 2.0 * n * n * n / gemm.median, smallest.median,
                    launchNanos(smallest.median));
            }
        }
    }

    /** Measures a case. One that an operator refuses, or that memory is too small for, comes back with a note. */
    public BenchResult run(BenchCase of) {
        long free = driver.freeBytes();
        if (of.inputBytes() > free * 0.9) {
            return BenchResult.notRun(of, "needs " + (of.inputBytes() >> 20) + " MiB of the " + (free >> 20)
                + " MiB of device memory that are free");
        }
        long l2 = driver.device().l2Bytes();
        int copies = (int) Math.clamp(2 * l2 / Math.max(1, of.inputBytes()) + 1, 2, MOST_COPIES);
        copies = (int) Math.max(1, Math.min(copies, (long) (free * 0.9) / Math.max(1, of.inputBytes())));
        List<TensorArena> arenas = new ArrayList<>();
        try {
            List<Runnable> calls = new ArrayList<>();
            for (int i = 0; i < copies; i++) {
                TensorArena arena = ops.arena("bench " + of.kernel());
                arenas.add(arena);
                calls.add(of.prepare().apply(new BenchInputs(ops, arena, 100 + i)));
            }
            Timing timing = time(calls);
            return new BenchResult(of, timing.median, timing.least, host(calls, timing.median), timing.repeats, copies, "");
        } catch (UnsupportedOperationException | IllegalArgumentException | OutOfDeviceMemory | GpuOutOfMemory e) {
            return BenchResult.notRun(of, String.valueOf(e.getMessage()));
        } finally {
            arenas.forEach(TensorArena::close);
        }
    }

    private record Timing(double median, double least, int repeats) {
    }

    private Timing time(List<Runnable> calls) {
        return time(calls, effort.warmUpSeconds);
    }

    private Timing time(List<Runnable> calls, double warmUpSeconds) {
        double once = warmUp(calls, warmUpSeconds);
        int repeats = (int) Math.clamp((long) (effort.seconds / Math.max(once, 1e-6)), effort.leastRepeats, effort.mostRepeats);
        List<GpuEvent> events = new ArrayList<>();
        try {
            for (int i = 0; i < 2 * repeats; i++) {
                events.add(driver.event());
            }
            for (int i = 0; i < repeats; i++) {
                stream.fill(flush, 0, FLUSH_WORD + i, flush.bytes() / 4);
                readFlush.run();
                stream.record(events.get(2 * i));
                calls.get(i % calls.size()).run();
                stream.record(events.get(2 * i + 1));
            }
            ops.synchronize();
            double[] seconds = new double[repeats];
            for (int i = 0; i < repeats; i++) {
                seconds[i] = events.get(2 * i + 1).secondsSince(events.get(2 * i));
            }
            Arrays.sort(seconds);
            return new Timing(0.5 * (seconds[(repeats - 1) / 2] + seconds[repeats / 2]), seconds[0], repeats);
        } finally {
            events.forEach(GpuEvent::close);
        }
    }

    /** Runs every set of inputs once and goes on until the time is up; returns the seconds of one run. */
    private double warmUp(List<Runnable> calls, double warmUpSeconds) {
        calls.forEach(Runnable::run);
        ops.synchronize();
        long begin = System.nanoTime();
        int runs = 0;
        do {
            calls.get(runs++ % calls.size()).run();
            ops.synchronize();
        } while (runs < effort.leastRepeats || System.nanoTime() - begin < warmUpSeconds * 1e9);
        return (System.nanoTime() - begin) * 1e-9 / runs;
    }

    private double launchNanos(double seconds) {
        KernelSource source = new KernelSource("nothing.cu", NOTHING, new TreeMap<>(), new TreeMap<>(), List.of("nothing"));
        try (GpuModule module = driver.load(driver.compile(source)); HostArena host = new HostArena("bench launches")) {
            GpuKernel nothing = module.kernel("nothing");
            MemorySegment arguments = host.allocate(8);
            return host(List.of(() -> stream.launch(nothing, 1, 1, 1, 32, 1, 0, arguments)), seconds).nanosPerLaunch();
        }
    }

    /** Fewer launches than a queue holds, so that the host never waits for the device. */
    private BenchResult.Host host(List<Runnable> calls, double seconds) {
        long before = stream.launches();
        long waits = stream.waits();
        calls.getFirst().run();
        long launches = stream.launches() - before;
        if (stream.waits() > waits || launches == 0) {
            return new BenchResult.Host(launches, Double.NaN, launches == 0 ? "it launches nothing" : "it waits for the device");
        }
        long most = Math.clamp(QUEUED_LAUNCHES / launches, 1, effort.hostCalls);
        long count = Math.clamp((long) (0.5 / Math.max(seconds, 1e-9)), 1, most);
        ops.synchronize();
        before = stream.launches();
        long begin = System.nanoTime();
        for (int i = 0; i < count; i++) {
            calls.get(i % calls.size()).run();
        }
        long taken = System.nanoTime() - begin;
        double nanos = (double) taken / (stream.launches() - before);
        ops.synchronize();
        return new BenchResult.Host(launches, nanos, "");
    }

    /** Every case, in order of presentation. */
    public static List<BenchCase> cases(boolean tiny) {
        List<BenchCase> cases = new ArrayList<>(LayerCases.all(tiny));
        cases.addAll(TreeAttentionCases.all(tiny));
        cases.addAll(SamplingCases.all(tiny));
        cases.addAll(TrainingCases.all(tiny));
        return cases;
    }

    @Override
    public void close() {
        arena.close();
        flush.close();
    }
}

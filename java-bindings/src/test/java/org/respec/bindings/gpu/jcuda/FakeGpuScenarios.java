package org.respec.bindings.gpu.jcuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.respec.bindings.doctor.Doctor;
import org.respec.bindings.doctor.Finding;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.gpu.PinnedMemory;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.CudaLibrary;
import org.respec.bindings.nativelib.LibraryPlaces;
import org.respec.bindings.nvml.GpuStatus;
import org.respec.bindings.nvml.GpuUtilization;
import org.respec.bindings.nvml.Nvml;
import org.respec.bindings.nvml.NvmlDevice;
import org.respec.bindings.nvml.UtilizationMeter;
import org.respec.bindings.nvrtc.CubinCache;

/** Runs against the stand-ins of {@code fake/*.c}; started by {@link FakeGpuTest} in a process of its own. */
public final class FakeGpuScenarios {
    static final List<String> ALL = List.of("refusals", "device", "memory", "largePinned", "copies", "launch", "compiledSource",
        "launchErrors", "graphs",
        "events", "threads", "deadDriver", "closing", "blas", "blasFailures", "noAllocation", "nvml", "doctor", "jcudaTemporaryFolder");

    private final SymbolLookup cuda = SymbolLookup.libraryLookup("libcuda.so.1", Arena.global());
    private final CudaLibraries libraries;
    private final CubinCache cache;

    private FakeGpuScenarios(Path folder) {
        // Nothing but the stand-ins, whatever else this machine has; NVRTC comes from the class path.
        libraries = new CudaLibraries(new LibraryPlaces(false, List.of(folder), true));
        cache = new CubinCache(folder.resolve("cubins"));
    }

    /** Takes a folder to work in and the names of scenarios. */
    public static void main(String[] arguments) {
        FakeGpuScenarios scenarios = new FakeGpuScenarios(Path.of(arguments[0]));
        for (String name : Arrays.asList(arguments).subList(1, arguments.length)) {
            try {
                scenarios.fake("fake_reset");
                FakeGpuScenarios.class.getDeclaredMethod(name).invoke(scenarios);
                System.out.println("RESULT " + name + " passed");
            } catch (ReflectiveOperationException | RuntimeException e) {
                (e.getCause() != null ? e.getCause() : e).printStackTrace(System.out);
                System.out.println("RESULT " + name + " failed");
            }
        }
    }

    // What a machine can lack.

    void refusals() {
        fake("fake_set", "driver", 11040);
        refused("CUDA 11.4: install one of CUDA 12.0 or newer", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_reset");
        fake("fake_set", "init", 100);
        refused("CUDA_ERROR_NO_DEVICE (100), the driver finds no device", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_set", "init", 34);
        refused("a toolkit's stub", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_set", "init", 803);
        refused("restart the machine after an update", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_reset");
        fake("fake_set", "devices", 0);
        refused("the driver finds no device", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_set", "devices", 2);
        refused("no CUDA device 2: the driver has 2, from 0 to 1", () -> JcudaDriver.open(libraries, cache, 2));
        refused("no CUDA device -1", () -> JcudaDriver.open(libraries, cache, -1));
        fake("fake_set", "major", 7);
        refused("compute capability 7.0; the kernels need 8.0", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_set", "major", 99);
        refused("cannot compile for compute capability 99.0", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_reset");
        fake("fake_fail", "cuDevicePrimaryCtxRetain", 2);
        refused("CUDA_ERROR_OUT_OF_MEMORY", () -> JcudaDriver.open(libraries, cache, 0));
        same(0, fake("fake_primary"));
    }

    void device() {
        fake("fake_set", "devices", 2);
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 1)) {
            GpuDevice device = driver.device();
            same(new GpuDevice("Fake H100 1", "sm_90a", "GPU-10111213-1415-1617-1819-1a1b1c1d1e1f", 132, 232448, 50L << 20, 1L << 30,
                12090),
                device);
            same(true, driver.compiler().version().startsWith("NVRTC 12."));
        }
        fake("fake_set", "minor", 1);
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0)) {
            // No compiler knows 9.1: the newest of the same major version, in the form that newer minors run.
            same("sm_90", driver.device().architecture());
        }
        same(0, fake("fake_primary"));
    }

    void memory() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            long before = driver.freeBytes();
            GpuMemory memory = driver.allocate(1003);
            same(1003L, memory.bytes());
            same(0L, memory.address() % 256);
            same(before - 1004, driver.freeBytes());
            same(List.of(256L, 1280L, (1L << 20) - 256, 2L << 20, 2L << 20, 4L << 20), Stream.of(0L, 1025L, (1L << 20) - 300, 1L << 20,
                2L << 20, (2L << 20) + 1).map(driver::allocationBytes).toList());
            MemorySegment host = arena.allocate(1003);
            GpuStream stream = driver.stream();
            host.fill((byte) 1);
            stream.copyOut(memory, 0, host, 0, 1003);
            same(-1L, host.mismatch(arena.allocate(1003)));
            memory.close();
            memory.close();
            same(false, memory.isAlive());
            same(before, driver.freeBytes());
            thrown(IllegalStateException.class, "used after it was closed", memory::address);
            thrown(IllegalStateException.class, "used after it was closed", () -> stream.fill(memory, 0, 1, 1));
            refused("out of device memory: 2048.0 MiB were asked for and 1024.0 MiB of 1024.0 MiB are free on Fake H100 0", () ->
                driver.allocate(
                2L << 30));
            thrown(IllegalArgumentException.class, "-1 bytes", () -> driver.allocate(-1));
            driver.allocate(0).close();

            PinnedMemory pinned = driver.allocatePinned(100);
            MemorySegment segment = pinned.segment();
            same(100L, segment.byteSize());
            same((byte) 0, segment.get(JAVA_BYTE, 99));
            pinned.close();
            pinned.close();
            thrown(IllegalStateException.class, "used after it was closed", pinned::segment);
            thrown(IllegalStateException.class, "closed", () -> segment.get(JAVA_BYTE, 0));
            refused("out of page-locked host memory", () -> driver.allocatePinned(2L << 30));
        }
        same(0, fake("fake_blocks"));
    }

    /** More than a direct buffer holds, as AdamW's moments of a large model need it. */
    void largePinned() {
        fake("fake_set", "host_gib", 4);
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0)) {
            long bytes = 3L << 30;
            PinnedMemory pinned = driver.allocatePinned(bytes);
            same(bytes, pinned.segment().byteSize());
            same((byte) 0, pinned.segment().get(JAVA_BYTE, bytes - 1));
            pinned.segment().set(JAVA_INT, bytes - 4, 0x01020304);
            GpuStream stream = driver.stream();
            GpuMemory memory = driver.allocate(4);
            fake("fake_clear");
            // Page-locked to its end: nothing waits.
            stream.copyIn(pinned.segment(), bytes - 4, memory, 0, 4);
            stream.copyOut(memory, 0, pinned.segment(), bytes - 8, 4);
            same("in 4\nout 4\n", log());
            same(0x01020304, pinned.segment().get(JAVA_INT, bytes - 8));
            same(2, fake("fake_blocks"));
            fake("fake_fail", "cuMemFreeHost", 1);
            refused("freeing page-locked memory on Fake H100 0 failed: CUDA_ERROR_INVALID_VALUE (1)", pinned::close);
        }
    }

    void copies() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            GpuStream stream = driver.stream();
            GpuMemory memory = driver.allocate(64);
            GpuMemory other = driver.allocate(64);
            PinnedMemory pinned = driver.allocatePinned(64);
            for (int i = 0; i < 64; i++) {
                pinned.segment().set(JAVA_BYTE, i, (byte) i);
            }
            fake("fake_clear");
            stream.copyIn(pinned.segment(), 8, memory, 16, 32);
            same("in 32\n", log());
            stream.copy(memory, 16, other, 0, 32);
            stream.fill(other, 8, 0x01020304, 2);
            MemorySegment pageable = arena.allocate(64);
            fake("fake_clear");
            stream.copyOut(other, 0, pageable, 4, 32);
            // Pageable memory: the call waits, since a driver may stage such a copy or not.
            same("out 32\nsync\n", log());
            same((byte) 8, pageable.get(JAVA_BYTE, 4));
            same(0x01020304, pageable.get(JAVA_INT, 4 + 8));
            same((byte) 24, pageable.get(JAVA_BYTE, 4 + 16));
            fake("fake_clear");
            stream.copyIn(pinned.segment().asSlice(60), 0, memory, 0, 4);
            stream.copyIn(pageable, 0, memory, 0, 0);
            same("in 4\n", log());
            thrown(IndexOutOfBoundsException.class, "host memory of 64", () -> stream.copyIn(pageable, 60, memory, 0, 8));
            thrown(IndexOutOfBoundsException.class, "device memory of 64", () -> stream.copyIn(pageable, 0, memory, 60, 8));
            thrown(IndexOutOfBoundsException.class, "device memory", () -> stream.copyOut(memory, -1, pageable, 0, 8));
            thrown(IndexOutOfBoundsException.class, "device memory", () -> stream.copy(memory, 0, other, Long.MAX_VALUE, 8));
            thrown(IllegalArgumentException.class, "overlap", () -> stream.copy(memory, 0, memory, 8, 16));
            thrown(IllegalArgumentException.class, "Java heap", () -> stream.copyIn(MemorySegment.ofArray(new byte[8]), 0, memory, 0, 8));
            thrown(IllegalArgumentException.class, "read-only", () -> stream.copyOut(memory, 0, pageable.asReadOnly(), 0, 8));
            thrown(IllegalArgumentException.class, "multiple of 4", () -> stream.fill(memory, 2, 0, 1));
            MemorySegment gone;
            try (Arena shortLived = Arena.ofConfined()) {
                gone = shortLived.allocate(8);
            }
            thrown(IllegalStateException.class, "was closed", () -> stream.copyIn(gone, 0, memory, 0, 8));
        }
    }

    void launch() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            GpuStream stream = driver.stream();
            GpuModule module = driver.load(image());
            GpuKernel scale = module.kernel("scale");
            same("fake.cu[BF16=1] scale", scale.name());
            same(scale, module.kernel("scale"));
            same(List.of(40, 16, 1024), List.of(scale.registers(), scale.localBytes(), scale.staticSharedBytes()));
            same(16, scale.blocksPerMultiprocessor(128, 100));
            GpuMemory memory = driver.allocate(12);
            PinnedMemory pinned = driver.allocatePinned(12);
            pinned.segment().copyFrom(MemorySegment.ofArray(new float[] {1, 2, 3}));
            stream.copyIn(pinned.segment(), 0, memory, 0, 12);
            MemorySegment struct = scaleArguments(arena, memory, 3, 2.5f);
            fake("fake_clear");
            same(0L, stream.launches());
            stream.launch(scale, 3, 2, 1, 64, 4, 100, struct);
            same(1L, stream.launches());
            // The struct is free again when launch returns.
            struct.fill((byte) 0);
            StringBuilder hex = new StringBuilder();
            for (byte b : bytes(memory.address(), 3, 2.5f)) {
                hex.append(String.format(Locale.ROOT, "%02x", b));
            }
            same("launch scale 3 2 1 64 4 1 100 " + hex + "\n", log());
            stream.copyOut(memory, 0, pinned.segment(), 0, 12);
            same(0L, stream.waits());
            stream.synchronize();
            same(1L, stream.waits());
            same(List.of(2.5f, 5f, 7.5f), List.of(pinned.segment().getAtIndex(JAVA_FLOAT, 0), pinned.segment().getAtIndex(JAVA_FLOAT, 1),
                pinned.segment().getAtIndex(JAVA_FLOAT, 2)));

            // 48 KiB less 1 KiB of static shared memory need no opt-in; more does, once for each larger size, with all of
            // the memory of a multiprocessor kept for it.
            scaleArguments(struct, memory, 3, 1);
            fake("fake_clear");
            stream.launch(scale, 1, 1, 1, 32, 1, 47 << 10, struct);
            same(false, log().contains("attribute"));
            stream.launch(scale, 1, 1, 1, 32, 1, 100_000, struct);
            stream.launch(scale, 1, 1, 1, 32, 1, 90_000, struct);
            same(1L, log().lines().filter(line -> line.equals("attribute scale 8 100000")).count());
            same(1L, log().lines().filter(line -> line.equals("attribute scale 9 100")).count());
            same(2L, log().lines().filter(line -> line.startsWith("attribute")).count());
            refused("wants 231425 bytes of dynamic shared memory beside 1024 static ones, Fake H100 0 allows 231424",
                () -> stream.launch(scale, 1, 1, 1, 32, 1, 231_425, struct));
        }
    }

    void compiledSource() {
        KernelSource source = new KernelSource("twice.cu", "struct Args { float* x; };\n"
            + "extern \"C\" __global__ void twice(const __grid_constant__ Args a) { a.x[threadIdx.x] *= FACTOR; }\n", new TreeMap<>(),
            new TreeMap<>(Map.of("FACTOR", "2.f")), List.of("twice"));
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0)) {
            KernelImage image = driver.compile(source);
            same("twice.cu[FACTOR=2.f]", image.label());
            same(true, Arrays.equals(image.bytes(), driver.compile(source).bytes()));
            fake("fake_clear");
            same("twice.cu[FACTOR=2.f] twice", driver.load(image).kernel("twice").name());
            same("load\n", log());
        }
    }

    void launchErrors() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            GpuStream stream = driver.stream();
            GpuModule module = driver.load(image());
            GpuKernel scale = module.kernel("scale");
            MemorySegment struct = arena.allocate(24, 8);
            thrown(IllegalArgumentException.class, "takes a struct of 24 bytes, got 16", () -> stream.launch(scale, 1, 1, 1, 32, 1, 0,
                struct
                .asSlice(0, 16)));
            thrown(IllegalArgumentException.class, "1 to 512 threads a block, got 1024", () -> stream.launch(scale, 1, 1, 1, 1024, 1, 0,
                struct));
            thrown(IllegalArgumentException.class, "grid 0x1x1", () -> stream.launch(scale, 0, 1, 1, 32, 1, 0, struct));
            thrown(IllegalArgumentException.class, "grid 1x70000x1", () -> stream.launch(scale, 1, 70000, 1, 32, 1, 0, struct));
            thrown(IllegalArgumentException.class, "off-heap", () -> stream.launch(scale, 1, 1, 1, 32, 1, 0,
                MemorySegment.ofArray(new byte[24])));
            refused("looking for the kernel absent in fake.cu[BF16=1] on Fake H100 0 failed: CUDA_ERROR_NOT_FOUND (500)",
                () -> module.kernel("absent"));
            refused("fake.cu[BF16=1] two does not take exactly one argument", () -> module.kernel("two"));
            fake("fake_fail", "cuLaunchKernel", 701);
            refused("launch of fake.cu[BF16=1] scale grid 5x1x1 block 32x1 shared 0 on Fake H100 0 failed:"
                + " CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
                + " (701), too many registers", () -> stream.launch(scale, 5, 1, 1, 32, 1, 0, struct));
            stream.launch(module.kernel("any"), 5, 1, 1, 32, 1, 0, struct);
            refused("loading broken.cu on Fake H100 0 failed: CUDA_ERROR_INVALID_IMAGE (200), the kernel was"
                + " compiled for another architecture",
                () -> driver.load(new KernelImage("broken.cu", new byte[8], "")));
            module.close();
            thrown(IllegalStateException.class, "after its module was closed", () -> stream.launch(scale, 1, 1, 1, 32, 1, 0, struct));
            thrown(IllegalStateException.class, "after its module was closed", () -> module.kernel("scale"));
            stream.close();
            thrown(IllegalStateException.class, "a stream is used after it was closed", stream::synchronize);
        }
    }

    void graphs() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            GpuStream stream = driver.stream();
            GpuKernel scale = driver.load(image()).kernel("scale");
            GpuMemory memory = driver.allocate(12);
            PinnedMemory pinned = driver.allocatePinned(12);
            MemorySegment struct = scaleArguments(arena, memory, 3, 3);
            fake("fake_clear");
            stream.beginCapture();
            same("capture 2\n", log());
            thrown(IllegalStateException.class, "captured already", stream::beginCapture);
            stream.copyIn(pinned.segment(), 0, memory, 0, 12);
            stream.launch(scale, 1, 1, 1, 32, 1, 0, struct);
            thrown(IllegalArgumentException.class, "page-locked", () -> stream.copyIn(arena.allocate(8), 0, memory, 0, 8));
            thrown(IllegalStateException.class, "captured cannot be waited for", stream::synchronize);
            thrown(IllegalStateException.class, "while a stream is being captured", memory::close);
            // Other work goes on meanwhile: first use of a kernel, new memory.
            GpuMemory meanwhile = driver.allocate(16);
            stream.copyOut(memory, 0, pinned.segment(), 0, 12);
            struct.fill((byte) 0);
            GpuGraph graph = stream.endCapture();
            thrown(IllegalStateException.class, "not being captured", stream::endCapture);
            meanwhile.close();
            pinned.segment().copyFrom(MemorySegment.ofArray(new float[] {1, 2, 3}));
            graph.launch(stream);
            graph.launch(stream);
            stream.synchronize();
            same(27f, pinned.segment().getAtIndex(JAVA_FLOAT, 2));
            same("graph of 1 launches [fake.cu[BF16=1] scale]", graph.toString());
            fake("fake_fail", "cuGraphLaunch", 2);
            thrown(GpuOutOfMemory.class, "launch of a graph of 1 launches [fake.cu[BF16=1] scale] on Fake H100 0 failed:"
                + " CUDA_ERROR_OUT_OF_MEMORY (2)", () -> graph.launch(stream));
            fake("fake_fail", "cuGraphLaunch", 1);
            refused("launch of a graph on Fake H100 0 failed: CUDA_ERROR_INVALID_VALUE (1)", () -> graph.launch(stream));
            graph.close();
            graph.close();
            thrown(IllegalStateException.class, "a graph is used after it was closed", () -> graph.launch(stream));
            // A capture that fails leaves a stream that works.
            stream.beginCapture();
            fake("fake_fail", "cuStreamEndCapture", 901);
            refused("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED (901), an earlier error ended the capture", stream::endCapture);
            memory.close();
        }
        same(0, fake("fake_blocks"));
    }

    void events() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0)) {
            GpuStream stream = driver.stream();
            GpuStream second = driver.stream();
            GpuEvent begin = driver.event();
            GpuEvent end = driver.event();
            stream.record(begin);
            stream.record(end);
            fake("fake_clear");
            second.await(end);
            same("await 0\n", log());
            fake("fake_set", "not_ready", 1);
            same(false, end.isDone());
            fake("fake_set", "not_ready", 0);
            same(true, end.isDone());
            end.synchronize();
            same(true, Math.abs(end.secondsSince(begin) - 2.5e-3) < 1e-9);
            end.close();
            thrown(IllegalStateException.class, "an event is used after it was closed", end::isDone);
            try (JcudaDriver other = JcudaDriver.open(libraries, cache, 0)) {
                thrown(IllegalArgumentException.class, "another driver", () -> other.stream().record(begin));
                thrown(IllegalArgumentException.class, "another driver", () -> other.stream().fill(driver.allocate(4), 0, 0, 1));
            }
            fake("fake_clear");
            driver.stream();
            driver.urgentStream();
            same("stream 1 priority 0\nstream 1 priority -5\n", log());
        }
    }

    /** While one thread captures, another works on, and what it frees waits for the end of the capture. */
    void threads() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofShared()) {
            GpuStream stream = driver.urgentStream();
            GpuStream second = driver.stream();
            GpuKernel scale = driver.load(image()).kernel("scale");
            GpuMemory memory = driver.allocate(12);
            MemorySegment struct = scaleArguments(arena, memory, 3, 3);
            MemorySegment pageable = arena.allocate(12);
            AtomicReference<GpuMemory> made = new AtomicReference<>();
            stream.beginCapture();
            stream.launch(scale, 1, 1, 1, 32, 1, 0, struct);
            run(() -> {
                made.set(driver.allocate(12));
                second.copyIn(pageable, 0, made.get(), 0, 12);
                second.launch(scale, 1, 1, 1, 32, 1, 0, scaleArguments(arena, made.get(), 3, 2));
                second.synchronize();
                thrown(IllegalStateException.class, "in the thread that it began in", stream::endCapture);
            });
            Thread freeing = Thread.ofPlatform().daemon().start(made.get()::close);
            while (freeing.getState() != Thread.State.WAITING) {
                Thread.onSpinWait();
            }
            same(true, made.get().isAlive());
            stream.endCapture().close();
            join(freeing);
            same(false, made.get().isAlive());
            // A capture that fails to begin leaves nobody waiting.
            fake("fake_fail", "cuStreamBeginCapture", 900);
            refused("cuStreamBeginCapture", stream::beginCapture);
            run(memory::close);
            same(false, memory.isAlive());
            second.launch(driver.load(image()).kernel("crash"), 9, 1, 1, 32, 1, 0, struct);
            String message = refused("CUDA_ERROR_ILLEGAL_ADDRESS", second::synchronize);
            same(List.of("last launches, newest first:", "  fake.cu[BF16=1] scale grid 1x1x1 block 32x1 shared 0",
                "of another stream, last launches, newest first:", "  fake.cu[BF16=1] crash grid 9x1x1 block 32x1 shared 0",
                "  fake.cu[BF16=1] scale grid 1x1x1 block 32x1 shared 0"), message.lines().skip(1).toList());
        }
    }

    private static void run(Runnable work) {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread thread = Thread.ofPlatform().daemon().start(() -> {
            try {
                work.run();
            } catch (RuntimeException | AssertionError e) {
                failure.set(e);
            }
        });
        join(thread);
        if (failure.get() != null) {
            throw new AssertionError("in another thread", failure.get());
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join(30_000);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        same(false, thread.isAlive());
    }

    void deadDriver() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            GpuStream stream = driver.stream();
            GpuModule module = driver.load(image());
            GpuKernel scale = module.kernel("scale");
            GpuKernel crash = module.kernel("crash");
            GpuMemory memory = driver.allocate(16);
            PinnedMemory pinned = driver.allocatePinned(16);
            MemorySegment struct = scaleArguments(arena, memory, 0, 1);
            for (int i = 1; i <= 20; i++) {
                stream.launch(scale, i, 1, 1, 32, 1, 0, struct);
            }
            stream.launch(crash, 7, 1, 1, 64, 1, 512, struct);
            stream.launch(scale, 21, 1, 1, 32, 1, 0, struct);
            String message = refused("waiting for a stream on Fake H100 0 failed: CUDA_ERROR_ILLEGAL_ADDRESS (700), a kernel read or wrote"
                + " outside its memory", stream::synchronize);
            List<String> lines = message.lines().toList();
            same(18, lines.size());
            same("last launches, newest first:", lines.get(1));
            same("  fake.cu[BF16=1] scale grid 21x1x1 block 32x1 shared 0", lines.get(2));
            same("  fake.cu[BF16=1] crash grid 7x1x1 block 64x1 shared 512", lines.get(3));
            same("  fake.cu[BF16=1] scale grid 7x1x1 block 32x1 shared 0", lines.get(17));
            same(true, lines.getFirst().endsWith("The driver is dead now, start the program again."));
            refused("the GPU driver is dead since an earlier error, start the program again: waiting for a stream on Fake H100 0 failed:"
                + " CUDA_ERROR_ILLEGAL_ADDRESS", () -> stream.launch(scale, 1, 1, 1, 32, 1, 0, struct));
            refused("dead since", () -> driver.allocate(4));
            refused("dead since", driver::freeBytes);
            // Closing goes on working, so that a failure is not buried under another.
            memory.close();
            pinned.close();
            same(false, pinned.isAlive());
        }
        // The device's context stays dead in this process, and says so to the next who wants it.
        String again = refused("the GPU driver is dead since an earlier error, start the program again: cuCtxGetStreamPriorityRange on"
            + " Fake H100 0 failed: CUDA_ERROR_ILLEGAL_ADDRESS (700)", () -> JcudaDriver.open(libraries, cache, 0));
        same(1L, again.lines().count());
        fake("fake_reset");
        fake("fake_fail", "cuDevicePrimaryCtxRetain", 719);
        refused("dead since an earlier error, start the program again: the NVIDIA driver's cuDevicePrimaryCtxRetain failed:"
            + " CUDA_ERROR_LAUNCH_FAILED (719), a kernel failed", () -> JcudaDriver.open(libraries, cache, 0));
        fake("fake_fail", "cuDevicePrimaryCtxRetain", 999);
        same(true, refused("CUDA_ERROR_UNKNOWN (999)", () -> JcudaDriver.open(libraries, cache, 0)).startsWith("the NVIDIA driver's "));
        same(0, fake("fake_primary"));
    }

    void closing() {
        int blocks = fake("fake_blocks");
        JcudaDriver driver = JcudaDriver.open(libraries, cache, 0);
        GpuStream stream = driver.stream();
        GpuMemory memory = driver.allocate(16);
        PinnedMemory pinned = driver.allocatePinned(16);
        GpuEvent event = driver.event();
        GpuModule module = driver.load(image());
        GpuKernel kernel = module.kernel("scale");
        MemorySegment segment = pinned.segment();
        stream.beginCapture();
        stream.copyIn(segment, 0, memory, 0, 16);
        GpuGraph graph = stream.endCapture();
        fake("fake_clear");
        driver.close();
        same(List.of("exec end", "unload", "event end", "free host", "free", "stream end", "stream end", "release"),
            log().lines().toList());
        same(blocks, fake("fake_blocks"));
        same(0, fake("fake_primary"));
        driver.close();
        same(List.of(false, false), List.of(memory.isAlive(), pinned.isAlive()));
        thrown(IllegalStateException.class, "closed", () -> segment.get(JAVA_BYTE, 0));
        thrown(IllegalStateException.class, "the GPU driver is closed", () -> driver.allocate(4));
        thrown(IllegalStateException.class, "closed", stream::synchronize);
        thrown(IllegalStateException.class, "closed", event::isDone);
        thrown(IllegalStateException.class, "closed", memory::address);
        same("fake.cu[BF16=1] scale", kernel.name());
        graph.close();
        module.close();
        event.close();
        memory.close();
        pinned.close();
        stream.close();
    }

    // cuBLAS: the stand-in multiplies column-major matrices in plain loops.

    void blas() {
        SplittableRandom random = new SplittableRandom(5);
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0)) {
            GpuStream stream = driver.stream();
            long free = driver.freeBytes();
            GpuBlas blas = driver.blas(stream);
            same(driver.blasBytes(), free - driver.freeBytes());
            for (int trial = 0; trial < 64; trial++) {
                boolean ta = (trial & 1) != 0;
                boolean tb = (trial & 2) != 0;
                boolean half = (trial & 4) != 0;
                boolean halfOut = half && (trial & 8) != 0;
                float beta = (trial & 16) != 0 ? 1 : 0;
                product(driver, stream, blas, random, ta, tb, half, halfOut, beta);
            }
            thrown(IllegalArgumentException.class, "leading dimension 3 of A is under its 4 columns", () -> blas.gemm(false, false, 2, 3, 4,
                GpuBlas.Type.F32, 0, 3, 0, 3, 0, GpuBlas.Type.F32, 0, 3));
            thrown(IllegalArgumentException.class, "leading dimension 3 of B is under its 4 columns", () -> blas.gemm(false, true, 2, 3, 4,
                GpuBlas.Type.F32, 0, 4, 0, 3, 0, GpuBlas.Type.F32, 0, 3));
            thrown(IllegalArgumentException.class, "leading dimension 2 of C is under its 3 columns", () -> blas.gemm(true, false, 2, 3, 4,
                GpuBlas.Type.F32, 0, 2, 0, 3, 0, GpuBlas.Type.F32, 0, 2));
            thrown(IllegalArgumentException.class, "F32 operands gives F32", () -> blas.gemm(true, false, 2, 3, 4, GpuBlas.Type.F32, 0, 2,
                0, 3, 0,
                GpuBlas.Type.BF16, 0, 3));
            blas.gemm(false, false, 0, 3, 4, GpuBlas.Type.F32, 0, 4, 0, 3, 0, GpuBlas.Type.F32, 0, 3);
            blas.close();
            same(true, blasLog().endsWith("destroy;"));
            thrown(IllegalStateException.class, "cuBLAS is used after it was closed", () -> blas.gemm(false, false, 1, 1, 1,
                GpuBlas.Type.F32, 0, 1,
                0, 1, 0, GpuBlas.Type.F32, 0, 1));
        }
        same(0, fake("fake_blocks"));
    }

    private void product(JcudaDriver driver, GpuStream stream, GpuBlas blas, SplittableRandom random, boolean ta, boolean tb, boolean half,
                         boolean halfOut, float beta) {
        int m = random.nextInt(1, 7);
        int n = random.nextInt(1, 7);
        int k = random.nextInt(1, 9);
        int lda = (ta ? m : k) + random.nextInt(3);
        int ldb = (tb ? k : n) + random.nextInt(3);
        int ldc = n + random.nextInt(3);
        float[] a = small(random, (ta ? k : m) * lda);
        float[] b = small(random, (tb ? n : k) * ldb);
        float[] c = small(random, m * ldc);
        float[] expected = c.clone();
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                float sum = beta == 0 ? 0 : beta * c[i * ldc + j];
                for (int l = 0; l < k; l++) {
                    sum += a[ta ? l * lda + i : i * lda + l] * b[tb ? j * ldb + l : l * ldb + j];
                }
                expected[i * ldc + j] = sum;
            }
        }
        GpuBlas.Type in = half ? GpuBlas.Type.BF16 : GpuBlas.Type.F32;
        GpuBlas.Type out = halfOut ? GpuBlas.Type.BF16 : GpuBlas.Type.F32;
        GpuMemory da = upload(driver, stream, a, in);
        GpuMemory db = upload(driver, stream, b, in);
        GpuMemory dc = upload(driver, stream, c, out);
        blas.gemm(ta, tb, m, n, k, in, da.address(), lda, db.address(), ldb, beta, out, dc.address(), ldc);
        // Small integers: bf16 and float hold them and their sums exactly, so every element must be equal, the gaps too.
        same(Arrays.toString(expected), Arrays.toString(download(stream, dc, expected.length, out)));
        same("stream 1 workspace 33554432 math 16 types " + (half ? "14 14 " : "0 0 ") + (halfOut ? 14 : 0) + " compute " + (half ? 68 : 69)
            + " algo -1;", blasLog());
        da.close();
        db.close();
        dc.close();
    }

    void blasFailures() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0)) {
            long free = driver.freeBytes();
            GpuStream stream = driver.stream();
            driver.blas(stream).close();
            blasFake("fake_blas_fail", 1);
            String message = refused("cublasCreate", () -> driver.blas(stream));
            same(true, message.contains("CUBLAS_STATUS_NOT_INITIALIZED"));
            same(free, driver.freeBytes());
            GpuBlas blas = driver.blas(stream);
            blasFake("fake_blas_fail", 13);
            refused("cublasGemmEx of m 2 n 3 k 4 F32 to F32 failed: CUBLAS_STATUS_EXECUTION_FAILED (13), the device"
                + " failed in this call or before;"
                + " last launches, newest first:\n  cublasGemmEx m 2 n 3 k 4", () -> blas.gemm(false, false, 2, 3, 4, GpuBlas.Type.F32, 0,
                    4, 0, 3, 0,
                    GpuBlas.Type.F32, 0, 3));
        }
    }

    // What a step does by the hundred makes no objects.

    void noAllocation() {
        try (JcudaDriver driver = JcudaDriver.open(libraries, cache, 0); Arena arena = Arena.ofConfined()) {
            fake("fake_quiet", 1);
            GpuStream stream = driver.stream();
            GpuKernel wide = driver.load(image()).kernel("wide");
            GpuMemory memory = driver.allocate(64);
            PinnedMemory pinned = driver.allocatePinned(64);
            MemorySegment host = pinned.segment();
            GpuBlas blas = driver.blas(stream);
            GpuEvent event = driver.event();
            MemorySegment struct = arena.allocate(200, 8);
            stream.beginCapture();
            stream.fill(memory, 0, 1, 1);
            GpuGraph graph = stream.endCapture();
            Runnable launch = () -> stream.launch(wide, 4, 2, 1, 64, 2, 1000, struct);
            Runnable step = () -> {
                stream.launch(wide, 4, 2, 1, 64, 2, 1000, struct);
                stream.copyIn(host, 0, memory, 0, 64);
                stream.copyOut(memory, 0, host, 0, 64);
                stream.fill(memory, 0, 0, 4);
                blas.gemm(false, true, 1, 1, 1, GpuBlas.Type.F32, memory.address(), 1, memory.address(), 1, 0, GpuBlas.Type.F32,
                    memory.address(), 1);
                stream.record(event);
                stream.await(event);
                graph.launch(stream);
                stream.synchronize();
            };
            repeat(step, 20_000);
            same(0L, allocated(step, 2_000));
            repeat(launch, 20_000);
            same(0L, allocated(launch, 2_000));
            long best = Long.MAX_VALUE;
            for (int i = 0; i < 10; i++) {
                long begin = System.nanoTime();
                repeat(launch, 20_000);
                best = Math.min(best, (System.nanoTime() - begin) / 20_000);
            }
            System.out.println("MEASURED host time of a launch over a stand-in for the driver: " + best + " ns");
            same(true, best < 1000);
            fake("fake_quiet", 0);
        }
    }

    private static void repeat(Runnable work, int times) {
        for (int i = 0; i < times; i++) {
            work.run();
        }
    }

    /** Bytes that this thread allocates, less what asking costs; the least of some tries, for the JIT may still be at work. */
    private static long allocated(Runnable work, int times) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 10; i++) {
            long empty = threads.getCurrentThreadAllocatedBytes();
            long begin = threads.getCurrentThreadAllocatedBytes();
            repeat(work, times);
            least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - begin - (begin - empty));
        }
        return Math.max(0, least);
    }

    // NVML.

    void nvml() {
        SymbolLookup fake = SymbolLookup.libraryLookup("libnvidia-ml.so.1", Arena.global());
        // By bare name, as on most machines.
        CudaLibraries byName = new CudaLibraries(new LibraryPlaces(true, List.of(), false));
        same(true, byName.require(CudaLibrary.NVML).file().endsWith("/libnvidia-ml.so.1"));
        Nvml nvml = Nvml.open(byName);
        same("575.1.2", nvml.driverVersion());
        refused("nvmlDeviceGetHandleByUUID of GPU-0 failed: NVML knows no such device (6)", () -> nvml.device("GPU-0"));
        NvmlDevice device = nvml.device("GPU-10111213-1415-1617-1819-1a1b1c1d1e1f");
        GpuStatus status = device.status();
        same(new GpuStatus(0.42, 0.17, 80L << 30, 20L << 30, 312.5, 55, 1755, 2619, Double.NaN, List.of(
            "no energy: the driver is too old for it (13)")), status);
        same("", device.gpmRefusal());
        try (UtilizationMeter meter = device.meter()) {
            for (int i = 0; i < 3; i++) {
                int taken = call(fake, "fake_nvml_taken");
                same(nothing("no GPM reading: too soon after the last reading"), meter.read());
                same(taken, call(fake, "fake_nvml_taken"));
                pause();
                GpuUtilization busy = meter.read();
                same(taken, call(fake, "fake_nvml_first"));
                same(List.of(0.875, Double.NaN, 0.625), List.of(busy.smActivity(), busy.smOccupancy(), busy.dramActivity()));
                same(true, busy.source().startsWith("GPM counters over "));
            }
            same(2, call(fake, "fake_nvml_samples"));
            // What a reading that failed was about, the next one tells too.
            int taken = call(fake, "fake_nvml_taken");
            call(fake, "fake_nvml_metrics", 3);
            pause();
            same(nothing("no GPM reading: this device does not support it (3)"), meter.read());
            same(0.875, meter.read().smActivity());
            same(taken, call(fake, "fake_nvml_first"));
            same(taken + 2, call(fake, "fake_nvml_taken"));
        }
        same(0, call(fake, "fake_nvml_samples"));
        call(fake, "fake_nvml_gpm", 0);
        try (UtilizationMeter meter = device.meter()) {
            GpuUtilization busy = meter.read();
            same(List.of(0.42, Double.NaN, 0.17), List.of(busy.smActivity(), busy.smOccupancy(), busy.dramActivity()));
            same("NVML rates: share of time in which any kernel ran or memory was used (no GPM: the device is older than Hopper)",
                busy.source());
        }
        nvml.close();
        nvml.close();
        same(0, call(fake, "fake_nvml_open"));
        thrown(IllegalStateException.class, "NVML is used after it was closed", device::status);
    }

    private static GpuUtilization nothing(String why) {
        return new GpuUtilization(Double.NaN, Double.NaN, Double.NaN, why);
    }

    /** As long as NVML wants between two samples. */
    private static void pause() {
        try {
            Thread.sleep(125);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    void doctor() {
        fake("fake_set", "devices", 2);
        List<Finding> findings = new Doctor(libraries, List.of()).examine();
        same(List.of("device 0", "device 1"), findings.stream().map(Finding::subject).filter(name -> name.startsWith("device ")).toList());
        Finding first = findings.stream().filter(finding -> finding.subject().equals("device 0")).findFirst().orElseThrow();
        same("Fake H100 0, sm_90, 132 multiprocessors, 1.0 GiB, 227 KiB shared a block, 50 MiB L2,"
            + " GPU-10111213-1415-1617-1819-1a1b1c1d1e1f,"
            + " driver of CUDA 12.9", first.found());
        Finding state = findings.stream().filter(finding -> finding.subject().equals("  its state")).findFirst().orElseThrow();
        same("driver 575.1.2, busy 42 %, 20.0 GiB used, 313 W, 55 C, SM clock 1755 MHz, no GPM: the device is older than"
            + " Hopper, no energy: the driver is too old for it (13)", state.found());
        fake("fake_set", "init", 803);
        Finding refused = new Doctor(libraries, List.of()).examine().stream().filter(finding ->
            finding.subject().equals("devices")).findFirst()
            .orElseThrow();
        same(Finding.State.REFUSED, refused.state());
        same(true, refused.found().contains("restart the machine after an update"));
    }

    void jcudaTemporaryFolder() throws IOException {
        // JCuda's own library must have come from our private folder, and nothing may be left in the common one's place.
        String maps = Files.readString(Path.of("/proc/self/maps"));
        List<String> loaded = maps.lines().filter(line -> line.contains("libJCudaDriver")).map(line ->
            line.substring(line.indexOf('/'))).distinct()
            .toList();
        same(1, loaded.size());
        same(true, loaded.getFirst().startsWith(System.getProperty("user.home") + "/.cache/respec/natives/"));
        same(false, System.getProperty("java.io.tmpdir").contains("respec/natives"));
    }

    // Helpers.

    private static KernelImage image() {
        return new KernelImage("fake.cu[BF16=1]", new byte[] {0x7f, 'E', 'L', 'F', 0, 0, 0, 0}, "");
    }

    private static MemorySegment scaleArguments(Arena arena, GpuMemory x, long n, float factor) {
        MemorySegment struct = arena.allocate(24, 8);
        scaleArguments(struct, x, n, factor);
        return struct;
    }

    private static void scaleArguments(MemorySegment struct, GpuMemory x, long n, float factor) {
        struct.copyFrom(MemorySegment.ofArray(bytes(x.address(), n, factor)));
    }

    private static byte[] bytes(long x, long n, float factor) {
        byte[] bytes = new byte[24];
        MemorySegment struct = MemorySegment.ofArray(bytes);
        struct.set(JAVA_LONG.withByteAlignment(1), 0, x);
        struct.set(JAVA_LONG.withByteAlignment(1), 8, n);
        struct.set(JAVA_FLOAT.withByteAlignment(1), 16, factor);
        return bytes;
    }

    private static float[] small(SplittableRandom random, int length) {
        float[] values = new float[length];
        for (int i = 0; i < length; i++) {
            values[i] = random.nextInt(-3, 4);
        }
        return values;
    }

    private static GpuMemory upload(JcudaDriver driver, GpuStream stream, float[] values, GpuBlas.Type type) {
        int size = type == GpuBlas.Type.F32 ? 4 : 2;
        GpuMemory memory = driver.allocate((long) values.length * size);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate((long) values.length * size, 4);
            for (int i = 0; i < values.length; i++) {
                if (size == 4) {
                    host.setAtIndex(JAVA_FLOAT, i, values[i]);
                } else {
                    host.setAtIndex(JAVA_SHORT, i, (short) (Float.floatToRawIntBits(values[i]) >>> 16));
                }
            }
            stream.copyIn(host, 0, memory, 0, host.byteSize());
        }
        return memory;
    }

    private static float[] download(GpuStream stream, GpuMemory memory, int length, GpuBlas.Type type) {
        float[] values = new float[length];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(memory.bytes(), 4);
            stream.copyOut(memory, 0, host, 0, memory.bytes());
            for (int i = 0; i < length; i++) {
                values[i] = type == GpuBlas.Type.F32 ? host.getAtIndex(JAVA_FLOAT, i) : Float.intBitsToFloat(host.getAtIndex(JAVA_SHORT,
                    i) << 16);
            }
        }
        return values;
    }

    private String log() {
        return text(cuda, "fake_log");
    }

    private String blasLog() {
        return text(blasLibrary(), "fake_blas_log");
    }

    private void blasFake(String name, Object... arguments) {
        call(blasLibrary(), name, arguments);
    }

    private SymbolLookup blasLibrary() {
        return libraries.find(CudaLibrary.CUBLAS_12).or(() -> libraries.find(CudaLibrary.CUBLAS_13)).orElseThrow().symbols();
    }

    private static String text(SymbolLookup library, String name) {
        try {
            MemorySegment text = (MemorySegment) Linker.nativeLinker().downcallHandle(library.findOrThrow(name),
                FunctionDescriptor.of(ADDRESS))
                .invokeExact();
            return text.reinterpret(Long.MAX_VALUE).getString(0);
        } catch (Throwable t) {
            throw new IllegalStateException(t);
        }
    }

    private int fake(String name, Object... arguments) {
        return call(cuda, name, arguments);
    }

    private static int call(SymbolLookup library, String name, Object... arguments) {
        try (Arena arena = Arena.ofConfined()) {
            MemoryLayout[] shape = new MemoryLayout[arguments.length];
            Object[] values = arguments.clone();
            for (int i = 0; i < shape.length; i++) {
                shape[i] = arguments[i] instanceof String ? ADDRESS : JAVA_INT;
                values[i] = arguments[i] instanceof String text ? arena.allocateFrom(text) : arguments[i];
            }
            return (int) Linker.nativeLinker().downcallHandle(library.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, shape))
                .invokeWithArguments(values);
        } catch (Throwable t) {
            throw new IllegalStateException(t);
        }
    }

    private static void same(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError("expected " + expected + "\n but got " + actual);
        }
    }

    private static String refused(String part, Runnable work) {
        return thrown(GpuException.class, part, work);
    }

    private static String thrown(Class<? extends RuntimeException> type, String part, Runnable work) {
        try {
            work.run();
        } catch (RuntimeException e) {
            if (!type.isInstance(e) || !e.getMessage().contains(part)) {
                throw new AssertionError("expected " + type.getSimpleName() + " with '" + part + "', got", e);
            }
            return e.getMessage();
        }
        throw new AssertionError("expected " + type.getSimpleName() + " with '" + part + "'");
    }
}

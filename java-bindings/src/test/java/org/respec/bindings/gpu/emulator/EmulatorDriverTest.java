package org.respec.bindings.gpu.emulator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.gpu.PinnedMemory;

/** Memory, streams, graphs, modules and matrix products of the emulated device. */
class EmulatorDriverTest {
    private static final String ADD = """
        struct Args { int* data; int value; };
        extern "C" __global__ void add(const __grid_constant__ Args a) {
            a.data[threadIdx.x] += a.value;
        }
        """;
    private static final KernelSource SOURCE = EmulatorBench.source("add.cu", ADD, "add");

    private static EmulatorBench bench() {
        return new EmulatorBench(EmulatorOptions.defaults());
    }

    @Test
    void deviceLooksLikeHopper() {
        try (EmulatorBench bench = bench()) {
            assertTrue(bench.driver.device().name().startsWith("emulator (host"), bench.driver.device().name());
            assertEquals("emulated", bench.driver.device().architecture());
            assertEquals(232448, bench.driver.device().sharedBytesPerBlock());
            assertEquals(4, bench.driver.device().multiprocessors());
        }
    }

    @Test
    void memoryIsZeroAlignedAndCounted() {
        try (EmulatorBench bench = new EmulatorBench(EmulatorOptions.defaults().withMemoryBytes(1 << 20))) {
            assertEquals(1 << 20, bench.driver.freeBytes());
            GpuMemory memory = bench.driver.allocate(1000);
            assertEquals(0, memory.address() % 256);
            assertEquals((1 << 20) - 1024, bench.driver.freeBytes());
            assertArrayEquals(new int[250], bench.ints(memory));
            GpuException full = assertThrows(GpuException.class, () -> bench.driver.allocate(1 << 20));
            assertEquals("the emulated device has no 1048576 bytes left, only 1047552 of 1048576", full.getMessage());
            long address = memory.address();
            memory.close();
            memory.close();
            assertFalse(memory.isAlive());
            assertThrows(IllegalStateException.class, memory::address);
            assertEquals(1 << 20, bench.driver.freeBytes());
            GpuMemory whole = bench.driver.allocate(1 << 20);
            assertEquals(0, bench.driver.freeBytes());
            assertTrue(whole.address() != address, "addresses are not used again at once");
            // Far more than the addresses there are, in all.
            for (int i = 0; i < 3000; i++) {
                whole.close();
                whole = bench.driver.allocate(1 << 20);
            }
        }
    }

    @Test
    void copiesAreChecked() {
        try (EmulatorBench bench = bench()) {
            GpuMemory memory = bench.ints(1, 2, 3, 4);
            GpuMemory other = bench.ints(0, 0, 0, 0);
            MemorySegment host = bench.host(16);
            bench.stream.copy(memory, 4, other, 8, 8);
            assertArrayEquals(new int[] {0, 0, 2, 3}, bench.ints(other));
            bench.stream.copy(memory, 0, memory, 8, 8);
            assertArrayEquals(new int[] {1, 2, 1, 2}, bench.ints(memory));
            bench.stream.fill(other, 4, 0x01020304, 3);
            assertArrayEquals(new int[] {0, 0x01020304, 0x01020304, 0x01020304}, bench.ints(other));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copyIn(host, 0, memory, 4, 16));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copyIn(host, 1, memory, 0, 16));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copyOut(memory, -1, host, 0, 4));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copyOut(memory, 0, host, 0, Long.MAX_VALUE));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copy(memory, 0, other, 12, 8));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copy(memory, 0, memory, 4, 8));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.fill(memory, 0, 0, 5));
            assertThrows(IllegalArgumentException.class, () -> bench.stream.fill(memory, 2, 0, 1));
            MemorySegment onHeap = MemorySegment.ofArray(new int[4]);
            assertThrows(IllegalArgumentException.class, () -> bench.stream.copyIn(onHeap, 0, memory, 0, 16));
        }
    }

    @Test
    void pinnedMemoryEndsWithTheDevice() {
        EmulatorBench bench = bench();
        PinnedMemory first = bench.driver.allocatePinned(64);
        PinnedMemory second = bench.driver.allocatePinned(64);
        MemorySegment segment = first.segment();
        segment.set(ValueLayout.JAVA_INT, 60, 5);
        first.close();
        first.close();
        assertThrows(IllegalStateException.class, () -> segment.get(ValueLayout.JAVA_INT, 60));
        assertThrows(IllegalStateException.class, first::segment);
        bench.close();
        assertFalse(second.isAlive());
        assertThrows(IllegalStateException.class, second::segment);
        bench.driver.close();
        assertThrows(IllegalStateException.class, () -> bench.driver.allocate(1));
        assertThrows(IllegalStateException.class, bench.stream::synchronize);
    }

    @Test
    void launchesAreChecked() {
        try (EmulatorBench bench = bench()) {
            GpuKernel kernel = bench.kernel(SOURCE, "add");
            assertEquals("add.cu:add", kernel.name());
            GpuMemory memory = bench.ints(1, 2, 3, 4);
            bench.launch(kernel, 1, 4, 0, memory.address(), 10);
            assertArrayEquals(new int[] {11, 12, 13, 14}, bench.ints(memory));
            assertThrows(GpuException.class, () -> bench.launch(kernel, 1, 1025, 0, memory.address(), 10));
            assertThrows(GpuException.class, () -> bench.launch(kernel, 0, 32, 0, memory.address(), 10));
            GpuException struct = assertThrows(GpuException.class, () -> bench.launch(kernel, 1, 4, 0, memory.address()));
            assertEquals("launch of add.cu:add: its argument struct has 16 bytes, got 8", struct.getMessage());
            assertThrows(GpuException.class, () -> bench.kernel(SOURCE, "subtract"));
        }
    }

    @Test
    void graphsRepeatWithTheArgumentsOfTheirCapture() {
        try (EmulatorBench bench = bench()) {
            GpuKernel kernel = bench.kernel(SOURCE, "add");
            GpuMemory memory = bench.ints(0, 0, 0, 0);
            GpuMemory copy = bench.driver.allocate(16);
            MemorySegment arguments = bench.arguments(memory.address(), 3);
            bench.stream.beginCapture();
            bench.stream.launch(kernel, 1, 1, 1, 4, 1, 0, arguments);
            bench.stream.copy(memory, 0, copy, 0, 16);
            assertThrows(GpuException.class, bench.stream::synchronize);
            assertThrows(GpuException.class, bench.stream::beginCapture);
            GpuGraph graph = bench.stream.endCapture();
            arguments.set(ValueLayout.JAVA_INT, 8, 1000);
            assertArrayEquals(new int[4], bench.ints(memory), "nothing ran during capture");
            graph.launch(bench.stream);
            graph.launch(bench.driver.stream());
            assertArrayEquals(new int[] {6, 6, 6, 6}, bench.ints(memory));
            assertArrayEquals(new int[] {6, 6, 6, 6}, bench.ints(copy));
            graph.close();
            assertThrows(IllegalStateException.class, () -> graph.launch(bench.stream));
            assertThrows(GpuException.class, bench.stream::endCapture);
        }
    }

    @Test
    void eventsTellTime() {
        try (EmulatorBench bench = bench(); GpuEvent before = bench.driver.event(); GpuEvent after = bench.driver.event()) {
            assertThrows(GpuException.class, () -> after.secondsSince(before));
            bench.stream.record(before);
            GpuStream other = bench.driver.stream();
            other.await(before);
            other.record(after);
            after.synchronize();
            assertTrue(after.isDone());
            double seconds = after.secondsSince(before);
            assertTrue(seconds >= 0 && seconds < 10, "seconds " + seconds);
        }
    }

    @Test
    void compileErrorsCarryTheCompilersWords() {
        try (EmulatorBench bench = bench()) {
            String text = "extern \"C\" __global__ void broken() {\n    undeclared = 3;\n}\n";
            KernelSource broken = EmulatorBench.source("broken.cu", text, "broken");
            GpuException error = assertThrows(GpuException.class, () -> bench.driver.compile(broken));
            assertTrue(error.getMessage().contains("broken.cu:2") && error.getMessage().contains("undeclared"), error.getMessage());
            KernelSource missing = EmulatorBench.source("missing.cu", ADD, "subtract");
            assertThrows(GpuException.class, () -> bench.driver.compile(missing));
        }
    }

    @Test
    void compiledKernelsAreKeptAndDamagedOnesMadeAnew(@TempDir Path folder) throws IOException {
        EmulatorOptions options = EmulatorOptions.defaults().withCache(folder);
        Path file;
        FileTime time;
        byte[] whole;
        try (EmulatorBench bench = new EmulatorBench(options)) {
            file = Path.of(new String(bench.driver.compile(SOURCE).bytes(), StandardCharsets.UTF_8));
            time = Files.getLastModifiedTime(file);
            whole = Files.readAllBytes(file);
            assertEquals(file, Path.of(new String(bench.driver.compile(SOURCE).bytes(), StandardCharsets.UTF_8)));
            assertEquals(time, Files.getLastModifiedTime(file), "compiled once");
        }
        for (int damage = 0; damage < 3; damage++) {
            byte[] bytes = damage == 0 ? Arrays.copyOf(whole, whole.length / 2) : damage == 1 ? new byte[0] : whole.clone();
            if (damage == 2) {
                bytes[whole.length / 2] ^= 1;
            }
            Files.write(file, bytes);
            try (EmulatorBench bench = new EmulatorBench(options)) {
                KernelImage damaged = new KernelImage("add.cu", file.toString().getBytes(StandardCharsets.UTF_8), "");
                GpuException error = assertThrows(GpuException.class, () -> bench.driver.load(damaged));
                assertTrue(error.getMessage().contains("damaged"), error.getMessage());
                GpuKernel kernel = bench.kernel(SOURCE, "add");
                GpuMemory memory = bench.ints(1, 2, 3, 4);
                bench.launch(kernel, 1, 4, 0, memory.address(), 10);
                assertArrayEquals(new int[] {11, 12, 13, 14}, bench.ints(memory));
            }
        }
    }

    @Test
    void matrixProducts() {
        SplittableRandom random = new SplittableRandom(7);
        try (EmulatorBench bench = bench(); GpuBlas blas = bench.driver.blas(bench.stream)) {
            for (boolean half : new boolean[] {false, true}) {
                for (int turn = 0; turn < 8; turn++) {
                    gemm(bench, blas, random, half, (turn & 1) != 0, (turn & 2) != 0, (turn & 4) != 0);
                }
            }
            GpuMemory small = bench.driver.allocate(64);
            assertThrows(IllegalArgumentException.class, () -> blas.gemm(false, false, 5, 5, 5, GpuBlas.Type.F32, small.address(), 5,
                small.address(), 5, 0, GpuBlas.Type.F32, small.address(), 5));
        }
    }

    /** Each thread has its stream and memory; kernels, products and new memory of several at a time do not disturb each other. */
    @Test
    void threadsShareADevice() throws InterruptedException {
        try (EmulatorBench bench = bench()) {
            GpuKernel add = bench.driver.load(bench.driver.compile(SOURCE)).kernel("add");
            List<Throwable> failures = new CopyOnWriteArrayList<>();
            List<Thread> threads = new ArrayList<>();
            for (int t = 0; t < 3; t++) {
                int own = t;
                threads.add(Thread.ofPlatform().start(() -> {
                    try {
                        add(bench, add, own);
                    } catch (RuntimeException | AssertionError e) {
                        failures.add(e);
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertEquals(List.of(), failures);
        }
    }

    private static void add(EmulatorBench bench, GpuKernel add, int own) {
        GpuStream stream = bench.driver.stream();
        GpuBlas blas = bench.driver.blas(stream);
        GpuMemory sum = bench.driver.allocate(4 * 64);
        GpuMemory square = bench.driver.allocate(4);
        try (Arena arena = Arena.ofConfined(); PinnedMemory host = bench.driver.allocatePinned(4 * 64)) {
            MemorySegment arguments = arena.allocate(16);
            arguments.set(ValueLayout.JAVA_LONG, 0, sum.address());
            for (int i = 1; i <= 200; i++) {
                GpuMemory passing = bench.driver.allocate(4);
                arguments.set(ValueLayout.JAVA_INT, 8, i * (own + 1));
                stream.launch(add, 1, 1, 1, 64, 1, 0, arguments);
                stream.fill(passing, 0, Float.floatToIntBits(own + 2f), 1);
                blas.gemm(false, false, 1, 1, 1, GpuBlas.Type.F32, passing.address(), 1, passing.address(), 1, 0f, GpuBlas.Type.F32,
                    square.address(), 1);
                passing.close();
            }
            stream.copyOut(sum, 0, host.segment(), 0, 4 * 64);
            stream.synchronize();
            for (int i = 0; i < 64; i++) {
                assertEquals(20_100 * (own + 1), host.segment().getAtIndex(ValueLayout.JAVA_INT, i));
            }
            stream.copyOut(square, 0, host.segment(), 0, 4);
            assertEquals((own + 2f) * (own + 2f), host.segment().get(ValueLayout.JAVA_FLOAT, 0));
        }
    }

    private static void gemm(EmulatorBench bench, GpuBlas blas, SplittableRandom random, boolean half, boolean transposeA,
                             boolean transposeB, boolean add) {
        int m = 5;
        int n = 7;
        int k = 9;
        int lda = (transposeA ? m : k) + 1;
        int ldb = (transposeB ? k : n) + 2;
        int ldc = n + 3;
        float[] a = values(random, (transposeA ? k : m) * lda, half);
        float[] b = values(random, (transposeB ? n : k) * ldb, half);
        float[] c = values(random, m * ldc, half);
        GpuMemory left = upload(bench, a, half);
        GpuMemory right = upload(bench, b, half);
        GpuMemory out = upload(bench, c, half);
        GpuBlas.Type type = half ? GpuBlas.Type.BF16 : GpuBlas.Type.F32;
        blas.gemm(transposeA, transposeB, m, n, k, type, left.address(), lda, right.address(), ldb, add ? 1 : 0, type, out.address(), ldc);
        float[] got = half ? widen(bench.shorts(out)) : bench.floats(out);
        for (int r = 0; r < m; r++) {
            for (int s = 0; s < ldc; s++) {
                double want = c[r * ldc + s];
                if (s < n) {
                    want = add ? want : 0;
                    for (int i = 0; i < k; i++) {
                        want += (double) a[transposeA ? i * lda + r : r * lda + i] * b[transposeB ? s * ldb + i : i * ldb + s];
                    }
                }
                assertEquals(want, got[r * ldc + s], s < n ? half ? 0.01 * Math.abs(want) + 1e-5 : 1e-5 : 0, "row " + r + ", column " + s);
            }
        }
    }

    private static float[] values(SplittableRandom random, int count, boolean half) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            float value = (float) random.nextDouble(-1, 1);
            values[i] = half ? Float.intBitsToFloat(Float.floatToIntBits(value) & 0xffff0000) : value;
        }
        return values;
    }

    private static GpuMemory upload(EmulatorBench bench, float[] values, boolean half) {
        if (!half) {
            return bench.floats(values);
        }
        MemorySegment host = bench.host(2L * values.length);
        for (int i = 0; i < values.length; i++) {
            host.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (Float.floatToIntBits(values[i]) >>> 16));
        }
        GpuMemory memory = bench.driver.allocate(2L * values.length);
        bench.stream.copyIn(host, 0, memory, 0, 2L * values.length);
        return memory;
    }

    private static float[] widen(short[] values) {
        float[] wide = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            wide[i] = Float.intBitsToFloat(values[i] << 16);
        }
        return wide;
    }
}

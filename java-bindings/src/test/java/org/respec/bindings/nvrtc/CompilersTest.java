package org.respec.bindings.nvrtc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.CudaLibrary;
import org.respec.bindings.nativelib.LibraryPlaces;

/** Both ways to NVRTC, over the real NVRTC 12.9 of the class path: no GPU is needed to compile. */
class CompilersTest {
    private static KernelCompiler jcuda;
    private static KernelCompiler direct;

    @BeforeAll
    static void open() {
        CudaLibraries libraries = new CudaLibraries(LibraryPlaces.classPathOnly());
        jcuda = JnvrtcCompiler.open(libraries);
        direct = new FfmCompiler(libraries.require(CudaLibrary.NVRTC_12));
    }

    @Test
    void bothSayTheSameOfThemselves() {
        assertEquals("NVRTC 12.9", jcuda.version());
        assertEquals(jcuda.version(), direct.version());
        assertEquals(12, direct.major());
        assertEquals(jcuda.capabilities(), direct.capabilities());
        assertTrue(direct.capabilities().containsAll(List.of(80, 90, 100, 120)), direct.capabilities().toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"sm_80", "sm_90", "sm_90a", "sm_100", "sm_100a"})
    void bothGiveTheSameCubin(String architecture) {
        KernelImage one = jcuda.compile(Sources.sum(3), architecture);
        KernelImage two = direct.compile(Sources.sum(3), architecture);
        assertEquals("sum.cu[FACTOR=3]", one.label());
        assertEquals(0x464c457f, ByteBuffer.wrap(one.bytes()).order(ByteOrder.LITTLE_ENDIAN).getInt(), "an ELF file");
        assertArrayEquals(one.bytes(), two.bytes());
        for (KernelImage image : List.of(one, two)) {
            List<CompileReport> reports = CompileReport.parse(image.log());
            CompileReport sum = reports.stream().filter(report -> report.entry().equals("sum")).findFirst().orElseThrow();
            assertEquals(2, reports.size());
            assertEquals(256, sum.staticSharedBytes());
            assertTrue(sum.registers() >= 8 && sum.registers() <= 128, image.log());
            assertFalse(sum.spills());
            assertEquals(0, reports.stream().filter(report -> report.entry().equals("zero")).findFirst().orElseThrow().staticSharedBytes());
        }
    }

    @Test
    void definitionsReachTheKernel() {
        assertFalse(Arrays.equals(direct.compile(Sources.sum(3), "sm_90a").bytes(), direct.compile(Sources.sum(4), "sm_90a").bytes()));
    }

    @Test
    void noHeadersAreFine() {
        assertArrayEquals(direct.compile(Sources.bare(), "sm_80").bytes(), jcuda.compile(Sources.bare(), "sm_80").bytes());
    }

    @Test
    void errorsCarryTheLog() {
        for (KernelCompiler compiler : List.of(jcuda, direct)) {
            GpuException e = assertThrows(GpuException.class, () -> compiler.compile(Sources.broken(), "sm_90a"));
            assertTrue(e.getMessage().startsWith("broken.cu[FACTOR=1] does not compile for sm_90a with NVRTC 12.9"
                + " (NVRTC_ERROR_COMPILATION"),
                e.getMessage());
            assertTrue(e.getMessage().contains("broken.cu(10): error: identifier \"j\" is undefined"), e.getMessage());
        }
    }

    @Test
    void unknownArchitecturesAreNamed() {
        for (KernelCompiler compiler : List.of(jcuda, direct)) {
            for (String architecture : List.of("sm_999", "sm_42", "compute_80", "sm_", "sm_9x", "")) {
                GpuException e = assertThrows(GpuException.class, () -> compiler.compile(Sources.bare(), architecture));
                assertEquals("NVRTC 12.9 cannot compile for the architecture " + architecture + "; it knows sm_50 to sm_121",
                    e.getMessage());
            }
        }
    }

    @Test
    void missingEntriesAreNamed() {
        KernelSource bare = Sources.bare();
        KernelSource other = new KernelSource(bare.name(), bare.text(), new TreeMap<>(), new TreeMap<>(), List.of("bare", "other"));
        for (KernelCompiler compiler : List.of(jcuda, direct)) {
            GpuException e = assertThrows(GpuException.class, () -> compiler.compile(other, "sm_80"));
            assertEquals("bare.cu compiled with NVRTC 12.9 has no kernel other, but [bare]", e.getMessage());
        }
    }

    /** A compiler whose log says nothing of kernels, as a version to come may: the cubin has their names. */
    @Test
    void entriesAreFoundWithoutTheLog() {
        byte[] cubin = direct.compile(Sources.bare(), "sm_90a").bytes();
        assertEquals("", Outcomes.success(direct, Sources.bare(), cubin, "").log());
        KernelSource bare = Sources.bare();
        KernelSource other = new KernelSource(bare.name(), bare.text(), new TreeMap<>(), new TreeMap<>(), List.of("bar"));
        assertThrows(GpuException.class, () -> Outcomes.success(direct, other, cubin, ""));
    }

    @Test
    void spillsAreReported() {
        KernelSource hungry = new KernelSource("hungry.cu", """
            struct A { float* x; int n; };
            extern "C" __global__ void __launch_bounds__(1024, 2) hungry(const __grid_constant__ A a) {
                float v[96];
                #pragma unroll
                for (int i = 0; i < 96; i++) v[i] = a.x[threadIdx.x + i * 1024];
                __syncthreads();
                for (int k = 0; k < a.n; k++) {
                    #pragma unroll
                    for (int i = 0; i < 96; i++) v[i] = v[i] * v[(i + 17) % 96] + v[(i + 31) % 96];
                }
                #pragma unroll
                for (int i = 0; i < 96; i++) a.x[threadIdx.x + i * 1024] = v[i];
            }
            """, new TreeMap<>(), new TreeMap<>(), List.of("hungry"));
        CompileReport report = CompileReport.parse(jcuda.compile(hungry, "sm_90a").log()).getFirst();
        assertEquals(32, report.registers());
        assertTrue(report.spills() && report.spillStoreBytes() > 100 && report.spillLoadBytes() > 100, report.toString());
        assertTrue(report.stackBytes() >= 200, report.toString());
    }

    @Test
    void threadsCompileAtOnce() throws Exception {
        byte[] expected = jcuda.compile(Sources.sum(9), "sm_80").bytes();
        try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
            List<Future<byte[]>> all = IntStream.range(0, 8).mapToObj(i -> threads.submit(() -> (i % 2 == 0 ? jcuda : direct)
                .compile(Sources.sum(9), "sm_80").bytes())).toList();
            for (Future<byte[]> one : all) {
                assertArrayEquals(expected, one.get());
            }
        }
    }

    @Test
    void logsOfSeveralKernelsAreTakenApart() {
        List<CompileReport> reports = CompileReport.parse("""
            kernel.cu(3): warning #177-D: variable "x" was declared but never referenced

            ptxas info    : 12 bytes gmem, 8 bytes cmem[4]
            ptxas info    : Compiling entry function 'first' for 'sm_90a'
            ptxas info    : Function properties for first
            ptxas         .     40 bytes stack frame, 36 bytes spill stores, 44 bytes spill loads
            ptxas info    : Used 168 registers, used 2 barriers, 40 bytes cumulative stack size, 49152 bytes smem, 400 bytes cmem[0]
            ptxas info    : Function properties for callee
                16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
            ptxas info    : Compiling entry function '_Z6secondv' for 'sm_90a'
            ptxas info    : Function properties for _Z6secondv
                0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Used 12 registers, used 0 barriers
            """);
        assertEquals(List.of(new CompileReport("first", 168, 40, 40, 52, 49152), new CompileReport("_Z6secondv", 12, 0, 0, 0, 0)), reports);
        assertEquals(List.of(), CompileReport.parse(""));
    }

    /** A compiler that knows some capabilities and compiles nothing. */
    private record Stub(String version, int major, SortedSet<Integer> capabilities) implements KernelCompiler {
        static Stub of(int major, Integer... capabilities) {
            return new Stub("NVRTC " + major + ".0", major, new TreeSet<>(List.of(capabilities)));
        }

        @Override
        public String origin() {
            return "here";
        }

        @Override
        public KernelImage compile(KernelSource source, String architecture) {
            throw new UnsupportedOperationException();
        }
    }

    @Test
    void theDeviceDecidesTheArchitecture() {
        Stub compiler = Stub.of(12, 75, 80, 86, 89, 90, 100, 120);
        assertEquals("sm_80", Architectures.forDevice(80, compiler));
        assertEquals("sm_89", Architectures.forDevice(89, compiler));
        assertEquals("sm_90a", Architectures.forDevice(90, compiler));
        assertEquals("sm_100a", Architectures.forDevice(100, compiler));
        assertEquals("sm_86", Architectures.forDevice(87, compiler));
        assertEquals("sm_100", Architectures.forDevice(103, compiler));
        assertTrue(assertThrows(GpuException.class, () -> Architectures.forDevice(110, compiler)).getMessage().contains(
            "cannot compile for compute capability 11.0: install a newer CUDA"));
        assertTrue(assertThrows(GpuException.class, () -> Architectures.forDevice(75,
            compiler)).getMessage().contains("7.5; the kernels need 8.0"));
    }

    @Test
    void theCompilerIsTheFirstThatKnowsTheDevice() {
        Stub twelve = Stub.of(12, 80, 90);
        Stub thirteen = Stub.of(13, 80, 90, 100);
        assertEquals(twelve, KernelCompilers.choose(List.of(twelve, thirteen), 90, 13000));
        assertEquals(thirteen, KernelCompilers.choose(List.of(twelve, thirteen), 100, 13000));
        assertEquals(twelve, KernelCompilers.choose(List.of(twelve, thirteen), 100, 12080));
        assertEquals(thirteen, KernelCompilers.choose(List.of(thirteen), 90, 13000));
        assertTrue(assertThrows(GpuException.class, () -> KernelCompilers.choose(List.of(thirteen), 90, 12040)).getMessage().startsWith(
            "NVRTC 13.0 makes kernels for a driver of CUDA 13, and this one is of CUDA 12.4: install a newer driver, or"));
    }
}

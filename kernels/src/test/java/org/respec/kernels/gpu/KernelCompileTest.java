package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.LibraryPlaces;
import org.respec.bindings.nvrtc.CompileReport;
import org.respec.bindings.nvrtc.CubinCache;
import org.respec.bindings.nvrtc.JnvrtcCompiler;
import org.respec.bindings.nvrtc.KernelCompiler;

/**
 * Every kernel in every specialisation compiles to a cubin, for the oldest and the newest devices, with no GPU. NVRTC runs one compile
 * at a time in a process, so the work is split over processes of our own; cubins are kept in the build folder, named by all that they
 * depend on, so that a second run compiles only what changed.
 */
class KernelCompileTest {
    private static final int PROCESSES = Math.clamp(Runtime.getRuntime().availableProcessors(), 1, 8);
    private static final long MINUTES = 15;
    /** The compiler makes such a frame for one kernel, rms_norm for sm_100, which has no arrays but in registers. */
    private static final int COMPILERS_OWN_BYTES = 8;
    private static final List<String> ARCHITECTURES = List.of("sm_80", "sm_90a", "sm_100");

    private static CubinCache cache() {
        return new CubinCache(Path.of("target", "cubins").toAbsolutePath());
    }

    private static KernelCompiler compiler() {
        return JnvrtcCompiler.open(new CudaLibraries(LibraryPlaces.classPathOnly()));
    }

    /** Each process asks for the next specialisation once it is done with one: they do not take equally long. */
    @BeforeAll
    static void compileInProcesses() throws IOException, InterruptedException {
        Path folder = Files.createDirectories(Path.of("target").toAbsolutePath());
        AtomicInteger next = new AtomicInteger();
        List<Compiling> processes = new ArrayList<>();
        for (int i = 0; i < PROCESSES; i++) {
            processes.add(new Compiling(Files.createTempFile(folder, "compile-", ".log"), next));
        }
        long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(MINUTES);
        for (Compiling one : processes) {
            if (!one.process.waitFor(end - System.nanoTime(), TimeUnit.NANOSECONDS)) {
                processes.forEach(each -> each.process.destroyForcibly());
            }
        }
        for (Compiling one : processes) {
            assertEquals(0, one.process.waitFor(), () -> "compiling failed:\n" + read(one.log));
            Files.deleteIfExists(one.log);
        }
        assertTrue(next.get() >= ARCHITECTURES.size() * KernelCatalog.all().size());
    }

    @ParameterizedTest
    @FieldSource("ARCHITECTURES")
    void everySpecialisationCompilesWithoutSpills(String architecture) {
        CubinCache cache = cache();
        KernelCompiler compiler = compiler();
        List<String> spills = new ArrayList<>();
        TreeMap<String, Integer> most = new TreeMap<>();
        for (KernelSpec spec : KernelCatalog.all()) {
            List<CompileReport> reports = CompileReport.parse(cache.get(KernelSources.of(spec), architecture, compiler).log());
            CompileReport report = reports.stream().filter(one -> one.entry().equals(spec.entry())).findFirst().orElseThrow();
            most.merge(spec.file(), report.registers(), Math::max);
            for (CompileReport one : reports) {
                // A frame without a spill is an array with an index that the compiler does not know: local memory all the same.
                if (one.spills() || one.stackBytes() > COMPILERS_OWN_BYTES) {
                    spills.add(KernelSources.of(spec).label() + " " + one);
                }
            }
        }
        System.out.println(architecture + ": " + KernelCatalog.all().size() + " specialisations; most registers of each file: " + most);
        assertEquals(List.of(), spills);
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return e + "\n";
        }
    }

    /** A process of {@link Compile}, and a thread that hands it one number after another. */
    private static final class Compiling {
        private final Path log;
        private final Process process;

        Compiling(Path log, AtomicInteger next) throws IOException {
            this.log = log;
            process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path"), Compile.class.getName()).redirectError(log.toFile()).start();
            Thread.ofVirtual().start(() -> feed(next));
        }

        private void feed(AtomicInteger next) {
            int count = ARCHITECTURES.size() * KernelCatalog.all().size();
            try (PrintWriter to = new PrintWriter(process.outputWriter(), true); BufferedReader from = process.inputReader()) {
                // Ends where the process does: its exit status says why.
                for (int i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
                    to.println(i);
                    if (from.readLine() == null) {
                        return;
                    }
                }
            } catch (IOException e) {
                process.destroyForcibly();
            }
        }
    }

    /** Compiles what it is told to, by numbers of a specialisation for an architecture, and answers each with a line. */
    public static final class Compile {
        private Compile() {
        }

        /** Takes no arguments. */
        public static void main(String[] arguments) throws IOException {
            CubinCache cache = cache();
            KernelCompiler compiler = compiler();
            List<KernelSpec> all = KernelCatalog.all();
            BufferedReader from = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = from.readLine(); line != null; line = from.readLine()) {
                int i = Integer.parseInt(line);
                cache.get(KernelSources.of(all.get(i / ARCHITECTURES.size())), ARCHITECTURES.get(i % ARCHITECTURES.size()), compiler);
                System.out.println(i);
            }
        }
    }

    @Test
    void everyFileIsInTheCatalogAndNothingTwice() throws IOException, URISyntaxException {
        Set<String> listed = KernelCatalog.all().stream().map(KernelSpec::file).collect(Collectors.toCollection(TreeSet::new));
        Path folder = Path.of(KernelSources.class.getResource("/org/respec/kernels/cuda/rms_norm.cu").toURI()).getParent();
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(files.map(file -> file.getFileName().toString()).filter(name ->
                name.endsWith(".cu")).collect(Collectors.toCollection(
                TreeSet::new)), listed);
        }
        Set<KernelSpec> seen = new HashSet<>();
        for (KernelSpec spec : KernelCatalog.all()) {
            assertTrue(seen.add(spec), () -> spec + " is listed twice");
        }
        assertFalse(seen.isEmpty());
    }
}

package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
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

    private static CubinCache cache() {
        return new CubinCache(Path.of("target", "cubins").toAbsolutePath());
    }

    private static KernelCompiler compiler() {
        return JnvrtcCompiler.open(new CudaLibraries(LibraryPlaces.classPathOnly()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"sm_80", "sm_90a", "sm_100"})
    void everySpecialisationCompiles(String architecture) throws IOException, InterruptedException {
        compileInProcesses(architecture);
        CubinCache cache = cache();
        KernelCompiler compiler = compiler();
        List<String> spills = new ArrayList<>();
        TreeMap<String, Integer> most = new TreeMap<>();
        for (KernelSpec spec : KernelCatalog.all()) {
            List<CompileReport> reports = CompileReport.parse(cache.get(KernelSources.of(spec), architecture, compiler).log());
            CompileReport report = reports.stream().filter(one -> one.entry().equals(spec.entry())).findFirst().orElseThrow();
            most.merge(spec.file(), report.registers(), Math::max);
            for (CompileReport one : reports) {
                if (one.spills()) {
                    spills.add(KernelSources.of(spec).label() + " " + one);
                }
            }
        }
        System.out.println(architecture + ": " + KernelCatalog.all().size() + " specialisations; most registers of each file: " + most);
        assertEquals(List.of(), spills);
    }

    private static void compileInProcesses(String architecture) throws IOException, InterruptedException {
        List<Process> parts = new ArrayList<>();
        List<Path> outputs = new ArrayList<>();
        Path folder = Files.createDirectories(Path.of("target").toAbsolutePath());
        for (int part = 0; part < PROCESSES; part++) {
            Path output = Files.createTempFile(folder, "compile-" + architecture + "-", ".log");
            outputs.add(output);
            parts.add(new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path"), Compile.class.getName(), architecture, String.valueOf(part),
                    String.valueOf(PROCESSES)).redirectErrorStream(true)
                .redirectOutput(output.toFile()).start());
        }
        for (int part = 0; part < PROCESSES; part++) {
            if (!parts.get(part).waitFor(MINUTES, TimeUnit.MINUTES)) {
                parts.forEach(Process::destroyForcibly);
            }
            assertEquals(0, parts.get(part).waitFor(), () -> "compiling for " + architecture + " failed:\n" + outputs.stream()
                .map(KernelCompileTest::read).collect(Collectors.joining()));
        }
        for (Path output : outputs) {
            Files.deleteIfExists(output);
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return e + "\n";
        }
    }

    /** Compiles a share of all specialisations. */
    public static final class Compile {
        private Compile() {
        }

        /** Takes the architecture, the number of the share, and how many there are. */
        public static void main(String[] arguments) {
            CubinCache cache = cache();
            KernelCompiler compiler = compiler();
            List<KernelSpec> all = KernelCatalog.all();
            for (int i = Integer.parseInt(arguments[1]); i < all.size(); i += Integer.parseInt(arguments[2])) {
                cache.get(KernelSources.of(all.get(i)), arguments[0], compiler);
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

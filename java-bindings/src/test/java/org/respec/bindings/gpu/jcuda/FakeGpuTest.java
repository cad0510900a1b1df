package org.respec.bindings.gpu.jcuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * The driver, cuBLAS and NVML over stand-ins built from C ({@code fake/*.c}), in a process of its own: libraries are found by the
 * loader's path, which is fixed when a process starts, and JCuda's classes can be woken up only once.
 */
class FakeGpuTest {
    @TempDir
    private Path folder;

    @TestFactory
    List<DynamicTest> withCublas12ThroughJcuda() throws IOException, InterruptedException {
        return scenarios("libcublas.so.12", "libcublas.so.12", FakeGpuScenarios.ALL);
    }

    @TestFactory
    List<DynamicTest> withCublas13Alone() throws IOException, InterruptedException {
        return scenarios("libcublas.so.13", "libcublas.so.13", List.of("blas", "blasFailures"));
    }

    private List<DynamicTest> scenarios(String cublas, String version, List<String> names) throws IOException, InterruptedException {
        assumeTrue(FakeLibraries.compiler() != null, "no C compiler (gcc, cc or clang) is on the path");
        FakeLibraries.build("cuda.c", folder, "libcuda.so.1", null);
        FakeLibraries.build("nvml.c", folder, "libnvidia-ml.so.1", null);
        FakeLibraries.build("cublas.c", folder, cublas, version);
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                FakeGpuScenarios.class.getName(),
            folder.toString()));
        command.addAll(names);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("LD_LIBRARY_PATH", folder.toString());
        Path output = Files.createFile(folder.resolve("output"));
        Process process = builder.redirectOutput(output.toFile()).start();
        if (!process.waitFor(120, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            fail("the scenarios hang:\n" + Files.readString(output));
        }
        String said = Files.readString(output);
        Map<String, String> results = new LinkedHashMap<>();
        said.lines().filter(line -> line.startsWith("RESULT ")).map(line -> line.split(" ", 3)).forEach(part -> results.put(part[1],
            part[2]));
        assertEquals(names, List.copyOf(results.keySet()), said);
        assertEquals(0, process.exitValue(), said);
        said.lines().filter(line -> line.startsWith("MEASURED ")).forEach(System.out::println);
        return results.entrySet().stream().map(result -> dynamicTest(result.getKey(), () -> assertTrue(result.getValue().equals("passed"),
            said))).toList();
    }
}

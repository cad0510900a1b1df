package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;
import org.respec.kernels.bench.BenchCase;
import org.respec.kernels.bench.KernelBench;

/** {@code bench kernels} on the emulator: what it writes, not how fast anything is. */
class BenchKernelsCommandTest {
    @TempDir
    private Path folder;

    @Test
    void emulatedRowsAreWrittenAndMarked() throws IOException {
        try (Ops ops = Backends.open("emulator", 1)) {
            assertTrue(ops.device().contains("emulator"), ops.device());
        } catch (IllegalArgumentException e) {
            assumeTrue(false, e.getMessage());
        }
        Path file = folder.resolve("kernels.json");
        assertEquals(0, Main.execute("bench", "kernels", "--device", "emulator", "--only", "rmsNorm,chainAttention,squaredNorm", "--json",
            file.toString()));
        JsonNode root = new JsonMapper().readTree(file.toFile());
        assertTrue(root.path("emulated").booleanValue(), root.toString());
        assertTrue(root.path("note").textValue().contains("say nothing about a GPU"), root.toString());
        assertTrue(root.path("ceilings").path("copy_bytes_per_second").doubleValue() > 0, root.toString());
        assertTrue(root.path("ceilings").path("smallest_kernel_seconds").doubleValue() > 0, root.toString());
        assertTrue(root.path("ceilings").path("empty_launch_host_nanos").doubleValue() > 0, root.toString());
        assertEquals(4, root.path("rows").size(), root.toString());
        for (JsonNode row : root.path("rows")) {
            assertTrue(row.path("median_seconds").doubleValue() > 0, row.toString());
            assertTrue(row.path("launches_per_call").intValue() > 0, row.toString());
            boolean waits = row.path("kernel").textValue().equals("squaredNorm");
            assertEquals(waits, row.path("host_nanos_per_launch").isNull(), row.toString());
            assertEquals(waits ? "it waits for the device" : "", row.path("host_not_measured").asText(""), row.toString());
            assertTrue(waits || row.path("host_nanos_per_launch").doubleValue() > 0, row.toString());
            assertTrue(row.path("bytes").longValue() > 0 && row.path("shape").size() > 0, row.toString());
        }
    }

    /** Every kernel has something of PyTorch's to be held against. */
    @Test
    void everyKernelHasPeers() throws IOException {
        String script = Files.readString(Path.of("bench", "peers.py"));
        int begin = script.indexOf("\nPEERS = {");
        String table = script.substring(begin, script.indexOf("\n}", begin));
        Set<String> named = Pattern.compile("\"(\\w+)\":").matcher(table).results().map(m -> m.group(1)).collect(Collectors.toSet());
        assertEquals(KernelBench.cases(true).stream().map(BenchCase::kernel).collect(Collectors.toSet()), named);
    }
}

package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.kernels.Backends;
import org.respec.tools.check.TinyModel;

/** An experiment by the CUDA kernels, on the emulator, in the type and with the graphs that training has on a GPU. */
class EmulatedCouplingTest {
    private static final Path CONFIG = Path.of("examples", "quickstart.yaml");
    private static final Path BUNDLED = Path.of("models", "arithmetic", "actor");

    @TempDir
    private Path folder;

    private List<List<Object>> model(String device, String dtype, List<String> overrides) {
        List<String> all = new ArrayList<>(overrides);
        all.add("run.dtype=" + dtype);
        Lab lab = new Lab(CONFIG, all, folder, device, 1, true, line -> { });
        lab.check();
        assertTrue(lab.deviceInWords().endsWith(", " + dtype), lab.deviceInWords());
        return new Coupling(2).run(lab).tables().getFirst().rows().stream().filter(row -> row.getFirst().equals("model")).toList();
    }

    @Test
    void acceptanceIsThatOfTheCpuToWhatTheTypeAllows() {
        try {
            Backends.open("emulator", 1).close();
        } catch (IllegalStateException e) {
            assumeTrue(false, e.getMessage());
        }
        List<String> overrides = new ArrayList<>(TinyModel.write(folder, BUNDLED).overrides());
        overrides.add("rollout.max_tokens=8");
        List<List<Object>> cpu = model("cpu", "f32", overrides);
        List<List<Object>> gpu = model("emulator", "bf16", overrides);
        assertEquals(cpu.size(), gpu.size());
        for (int row = 0; row < cpu.size(); row++) {
            assertEquals(cpu.get(row).subList(0, 4), gpu.get(row).subList(0, 4));
            // Untrained, both are nearly uniform, and so is who is accepted.
            for (int rule = 4; rule < 7; rule++) {
                assertEquals(((Spread) cpu.get(row).get(rule)).mean(), ((Spread) gpu.get(row).get(rule)).mean(), 0.15,
                    cpu.get(row) + " " + gpu.get(row));
            }
        }
    }
}

package org.respec.kernels.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.gpu.GpuOps;

class KernelBenchTest {
    private static final EmulatorOptions UNCHECKED = EmulatorOptions.defaults().withChecked(false);

    /** Every case at its tiny size, so that inputs, calls and formulas are those that a GPU will get. */
    @Test
    void everyCaseRunsOnTheEmulator() {
        GpuDriver driver;
        try {
            driver = EmulatorDriver.open(UNCHECKED);
        } catch (GpuException e) {
            assumeTrue(false, e.getMessage());
            return;
        }
        try (GpuOps ops = new GpuOps(driver); KernelBench bench = new KernelBench(ops, KernelBench.Effort.tiny())) {
            Ceilings ceilings = bench.ceilings();
            assertTrue(ceilings.copyBytesPerSecond() > 0 && ceilings.gemmFlopsPerSecond() > 0, ceilings::toString);
            Set<String> kernels = new HashSet<>();
            for (BenchCase each : KernelBench.cases(true)) {
                BenchResult result = bench.run(each);
                kernels.add(each.kernel());
                assertTrue(result.wasRun(), () -> each.kernel() + " " + each.shapeText() + ": " + result.note());
                assertTrue(result.medianSeconds() > 0 && result.hostNanos() > 0 && result.bytesPerSecond() > 0, result::toString);
            }
            assertEquals(18, kernels.size(), kernels::toString);
        }
    }

    /** Shapes of the full set are consistent and none needs more than an 80 GB card has. */
    @Test
    void fullCasesFitOneGpu() {
        for (BenchCase each : KernelBench.cases(false)) {
            assertTrue(each.bytes() > 0 && each.flops() >= 0, each::toString);
            assertTrue(each.inputBytes() < 40L << 30, each::toString);
        }
    }
}

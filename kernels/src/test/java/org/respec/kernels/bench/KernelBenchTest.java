package org.respec.kernels.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;
import org.respec.kernels.gpu.GpuOps;
import org.respec.kernels.gpu.KernelNeed;
import org.respec.kernels.gpu.KernelSpec;

class KernelBenchTest {
    private static final EmulatorOptions UNCHECKED = EmulatorOptions.defaults().withChecked(false);

    private static GpuDriver open(EmulatorOptions options) {
        try {
            return EmulatorDriver.open(options);
        } catch (GpuException e) {
            return abort(e.getMessage());
        }
    }

    /** Every case at its tiny size, so that inputs, calls and formulas are those that a GPU will get. */
    @Test
    void everyCaseRunsOnTheEmulator() {
        GpuDriver driver = open(UNCHECKED);
        try (GpuOps ops = new GpuOps(driver); KernelBench bench = new KernelBench(ops, KernelBench.Effort.tiny())) {
            Ceilings ceilings = bench.ceilings();
            assertTrue(ceilings.copyBytesPerSecond() > 0 && ceilings.gemmFlopsPerSecond() > 0, ceilings::toString);
            assertTrue(ceilings.launchNanos() > 0, ceilings::toString);
            Set<String> kernels = new HashSet<>();
            Map<String, Long> launches = new TreeMap<>();
            for (BenchCase each : KernelBench.cases(true)) {
                BenchResult result = bench.run(each);
                kernels.add(each.kernel());
                assertTrue(result.wasRun(), () -> each.kernel() + " " + each.shapeText() + ": " + result.note());
                assertTrue(result.medianSeconds() > 0 && result.bytesPerSecond() > 0, result::toString);
                assertEquals(each.kernel().equals("squaredNorm") ? "it waits for the device" : "", result.host().note(), each.kernel());
                assertEquals(result.host().note().isEmpty(), result.host().nanosPerLaunch() > 0, result::toString);
                launches.merge(each.kernel(), result.host().launches(), Math::max);
            }
            assertEquals(1, launches.get("rmsNorm"));
            assertTrue(launches.get("chainAttentionBackward") > 1, launches::toString);
            assertEquals(18, kernels.size(), kernels::toString);
            // What is compiled before, where the cases' heads are of 32, is all that they launch.
            Set<KernelSpec> loaded = new HashSet<>(ops.loaded());
            new KernelNeed(32, false).specs().forEach(loaded::remove);
            assertEquals(Set.of(), loaded);
        }
    }

    /** A case that takes more than it says gives back what it took, and the next one runs. */
    @Test
    void aCaseThatMemoryIsTooSmallForIsNoted() {
        GpuDriver driver = open(UNCHECKED.withMemoryBytes(512 << 20));
        try (GpuOps ops = new GpuOps(driver); KernelBench bench = new KernelBench(ops, KernelBench.Effort.tiny())) {
            long free = driver.freeBytes();
            BenchResult result = bench.run(new BenchCase("fill", BenchCase.shape("rows", 1), DType.F32, 4, 0, 4, inputs -> {
                inputs.empty(DType.F32, 16 << 10, 1 << 10);
                Tensor more = inputs.empty(DType.F32, 128 << 10, 1 << 10);
                return () -> inputs.ops().fill(more, 1f);
            }));
            assertFalse(result.wasRun());
            assertTrue(result.note().contains("536870912 bytes"), result.note());
            assertEquals(free, driver.freeBytes());
            assertTrue(bench.run(KernelBench.cases(true).getFirst()).wasRun());
        }
    }

    /** Shapes of the full set are consistent and none needs more than an 80 GB card has. */
    @Test
    void fullCasesFitOneGpu() {
        for (BenchCase each : KernelBench.cases(false)) {
            assertTrue(each.bytes() > 0 && each.flops() >= 0, each::toString);
            assertTrue(each.inputBytes() < 40L << 30, each::toString);
            assertEquals(KernelBench.HEAD_DIM, each.shape().getOrDefault("headDim", KernelBench.HEAD_DIM), each::toString);
        }
    }
}

package org.respec.tools.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.respec.engine.rollout.DecodeBench;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.gpu.GpuOps;
import org.respec.kernels.gpu.KernelNeed;
import org.respec.kernels.gpu.KernelSpec;

/** What is compiled before decode steps are timed is all that they launch, and less than there is. */
class DecodeRowsTest {
    private static GpuOps open() {
        try {
            return (GpuOps) Backends.open("emulator", 1);
        } catch (IllegalArgumentException e) {
            return abort(e.getMessage());
        }
    }

    @ParameterizedTest
    @EnumSource(value = DType.class, names = {"F32", "BF16"})
    void kernelsAreCompiledBefore(DType dtype) {
        try (GpuOps gpu = open()) {
            DecodeRows rows = new DecodeRows(gpu, DecodeShape.TINY, dtype, new JsonMapper().createObjectNode());
            try (DecodeBench bench = rows.open()) {
                for (String plan : new String[] {"off", "2x2x4"}) {
                    rows.run(bench, new DecodeBench.Setting(2, SpeculationPlan.parse(plan), new double[] {0.5}, 24, 1, 2));
                }
            }
            Set<KernelSpec> loaded = new HashSet<>(gpu.loaded());
            assertTrue(loaded.size() > 10, loaded::toString);
            DecodeShape.TINY.kernels().specs().forEach(loaded::remove);
            assertEquals(Set.of(), loaded);
        }
        assertTrue(DecodeShape.QWEN_7B.kernels().specs().size() < KernelNeed.ALL.specs().size() / 2);
    }
}

package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.respec.engine.device.SplitOps;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;

/** Parameters in one block or several, beside the host or behind a wall: the same elements. */
class ParameterSetTest {
    private static final ModelConfig CONFIG = TestModels.actorConfig(false);

    @Test
    void blocksHoldTheSameElements() {
        try (Ops cpu = Backends.open("cpu", 1); Ops split = new SplitOps(1)) {
            float[] want;
            String sha;
            try (ParameterSet whole = new ParameterSet(cpu, "whole", CONFIG.tensors())) {
                TestModels.randomise(whole, 3);
                assertEquals(1, whole.blocks().size());
                want = whole.download().toArray(ValueLayout.JAVA_FLOAT);
                sha = whole.sha256();
            }
            for (Ops ops : new Ops[] {cpu, split}) {
                for (int most : new int[] {1, 2000, 1 << 20}) {
                    try (ParameterSet set = new ParameterSet(ops, "blocks", CONFIG.tensors(), DType.F32, most);
                         ParameterSet copy = new ParameterSet(ops, "copy", CONFIG.tensors(), DType.F32, most)) {
                        assertEquals(most > 2000, set.blocks().size() == 1, "blocks of " + most);
                        TestModels.randomise(set, 3);
                        assertArrayEquals(want, set.download().toArray(ValueLayout.JAVA_FLOAT));
                        assertEquals(sha, set.sha256());
                        copy.copyFrom(set);
                        assertEquals(sha, copy.sha256());
                        // Stacked matrices never cross blocks.
                        assertEquals(4 * 8 + 2 * 2 * 8, LayerTensors.of(set, "model.layers.1.").qkv().rows());
                        try (Arena arena = Arena.ofConfined()) {
                            var floats = arena.allocate(4L * CONFIG.vocabSize() * CONFIG.hiddenSize(), 64);
                            copy.write("lm_head.weight", floats);
                            assertThrows(IllegalArgumentException.class, () -> copy.write("model.norm.weight", floats));
                        }
                        float[] changed = copy.download().toArray(ValueLayout.JAVA_FLOAT);
                        int zeros = CONFIG.vocabSize() * CONFIG.hiddenSize();
                        int mismatch = Arrays.mismatch(want, changed);
                        assertTrue(mismatch >= 0 && changed[mismatch] == 0);
                        float[] expected = want.clone();
                        Arrays.fill(expected, mismatch, mismatch + zeros, 0f);
                        assertArrayEquals(expected, changed);
                    }
                }
            }
        }
    }

    @Test
    void aTypeThatTheDeviceDoesNotStoreIsRefused() {
        try (Ops cpu = Backends.open("cpu", 1); ParameterSet whole = new ParameterSet(cpu, "whole", CONFIG.tensors())) {
            assertFalse(cpu.stores(DType.BF16));
            ParameterSet half = new ParameterSet(cpu, "half", CONFIG.tensors(), DType.BF16);
            try (half) {
                assertThrows(IllegalArgumentException.class, () -> half.copyFrom(whole));
            }
        }
    }
}

package org.respec.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Devices by name, on whatever machine the tests run. */
class BackendsTest {
    @Test
    void theCpuIsAlwaysThere() {
        try (Ops ops = Backends.open("cpu", 1)) {
            assertTrue(ops.device().startsWith("cpu, 1 thread, "), ops.device());
        }
    }

    @Test
    void autoSaysWhyItIsNotAGpu() {
        try (Ops ops = Backends.open("auto", 1)) {
            System.out.println("auto: " + ops.device());
            assertTrue(!ops.device().startsWith("cpu") || ops.device().contains("since there is no usable GPU ("), ops.device());
            assertEquals(1, ops.device().lines().count());
        }
    }

    @Test
    void unknownNamesAndMissingDevicesAreOneSentence() {
        IllegalArgumentException unknown = assertThrows(IllegalArgumentException.class, () -> Backends.open("gpu9", 1));
        assertEquals("device 'gpu9' is not known; use one of auto, cpu, cuda, emulator", unknown.getMessage());
        try (Ops ops = Backends.open("cuda", 1)) {
            assertTrue(!ops.device().startsWith("cpu"), ops.device());
        } catch (IllegalArgumentException e) {
            System.out.println(e.getMessage());
            assertTrue(e.getMessage().startsWith("device 'cuda' cannot be used: "), e.getMessage());
            assertEquals(1, e.getMessage().lines().count());
            assertTrue(!e.getMessage().endsWith("."), e.getMessage());
        }
    }
}

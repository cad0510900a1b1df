package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.abort;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** What kernels are looked up by, and that looking one up and launching it leaves nothing on the heap. */
class KernelSpecTest {
    private static final int LAUNCHES = 1000;

    @Test
    void equalByContent() {
        KernelSpec base = KernelSpec.of("a.cu", "a");
        assertEquals(base.with("X", 1).with("Y", 2), base.with("Y", 2).with("X", 1));
        assertEquals(base.with("X", 1).hashCode(), KernelSpec.of("a.cu", "a").with("X", "1").hashCode());
        assertNotEquals(base, base.with("X", 1));
        assertNotEquals(base.with("X", 1), base.with("X", 2));
        assertNotEquals(base, KernelSpec.of("a.cu", "b"));
        assertNotEquals(base, KernelSpec.of("b.cu", "a"));
    }

    @Test
    void definitionsAreCopiedAndKept() {
        TreeMap<String, String> mine = new TreeMap<>();
        KernelSpec spec = new KernelSpec("a.cu", "a", mine);
        mine.put("X", "1");
        assertEquals(KernelSpec.of("a.cu", "a"), spec);
        assertThrows(UnsupportedOperationException.class, () -> spec.defines().put("X", "1"));
    }

    /** RMSNorm keeps its kernel, log-probabilities look theirs up at every launch. */
    @Test
    void launchesAllocateNothing() {
        Ops ops = null;
        try {
            ops = Backends.open("emulator", 1);
        } catch (IllegalArgumentException e) {
            abort(e.getMessage());
        }
        try (Ops emulator = ops; TensorArena arena = emulator.arena("test")) {
            Tensor x = arena.allocate(DType.F32, 1, 32);
            Tensor weight = arena.allocate(DType.F32, 1, 32);
            Tensor out = arena.allocate(DType.F32, 1, 32);
            Tensor targets = arena.allocate(DType.I32, 1, 1);
            Tensor logProbs = arena.allocate(DType.F32, 1, 1);
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            // Linkage and first uses allocate; the least of a few windows is what a launch itself does.
            long least = Long.MAX_VALUE;
            for (int window = 0; window < 5 && least > 0; window++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int i = 0; i < LAUNCHES; i++) {
                    emulator.rmsNorm(x, weight, 1e-6f, out, 1);
                    emulator.logProbs(out, targets, 1f, logProbs, 1);
                }
                least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
            }
            assertEquals(0, least / LAUNCHES, "bytes allocated by two launches; " + least + " in " + LAUNCHES);
        }
    }
}

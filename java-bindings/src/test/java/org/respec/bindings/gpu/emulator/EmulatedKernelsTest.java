package org.respec.bindings.gpu.emulator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;

/** What kernels compute, checked and unchecked. */
class EmulatedKernelsTest {
    static final String[] ENTRIES = {"vector_add", "block_sum", "warp_operations", "reverse", "atomics", "geometry", "last_block",
        "numbers", "halves", "warp_exchange", "say_hello"};

    private EmulatorBench bench;

    private GpuKernel kernel(boolean checked, String entry) {
        bench = new EmulatorBench(EmulatorOptions.defaults().withChecked(checked));
        return bench.kernel(EmulatorBench.file("basics.cu", ENTRIES), entry);
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    private static float[] random(int count) {
        SplittableRandom random = new SplittableRandom(count);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextDouble(-1, 1);
        }
        return values;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void vectorAdd(boolean checked) {
        GpuKernel kernel = kernel(checked, "vector_add");
        float[] x = random(1001);
        float[] y = random(1001);
        GpuMemory out = bench.driver.allocate(4004);
        bench.launch(kernel, 3, 96, 0, bench.floats(x).address(), out.address(), bench.floats(y).address(), 1001, 0f);
        float[] got = bench.floats(out);
        for (int i = 0; i < 1001; i++) {
            assertEquals(x[i] + y[i], got[i], "element " + i);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void blockSum(boolean checked) {
        GpuKernel kernel = kernel(checked, "block_sum");
        float[] x = random(3 * 256);
        GpuMemory tree = bench.driver.allocate(12);
        GpuMemory warps = bench.driver.allocate(12);
        bench.launch(kernel, 3, 256, 0, bench.floats(x).address(), tree.address(), warps.address(), 0, 0f);
        for (int b = 0; b < 3; b++) {
            double sum = 0;
            for (int i = 0; i < 256; i++) {
                sum += x[256 * b + i];
            }
            assertEquals(sum, bench.floats(tree)[b], 1e-4);
            assertEquals(sum, bench.floats(warps)[b], 1e-4);
        }
        assertTrue(kernel.staticSharedBytes() >= 256 * 4 + 32, "static shared bytes " + kernel.staticSharedBytes());
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void warpOperations(boolean checked) {
        GpuKernel kernel = kernel(checked, "warp_operations");
        int[] values = new SplittableRandom(3).ints(64, 0, 100).toArray();
        GpuMemory out = bench.driver.allocate(64 * 64);
        bench.launch(kernel, 1, 64, 0, bench.ints(values).address(), out.address(), 0L, 0, 0f);
        int[] got = bench.ints(out);
        int fives = 0;
        for (int value : values) {
            fives += value == 5 ? 1 : 0;
        }
        for (int t = 0; t < 64; t++) {
            int first = t / 32 * 32;
            int lane = t % 32;
            int[] warp = java.util.Arrays.copyOfRange(values, first, first + 32);
            int ballot = 0;
            int match = 0;
            int sum = 0;
            int least = Integer.MAX_VALUE;
            boolean any = false;
            int over = 0;
            int[] halfSums = new int[32];
            for (int l = 0; l < 32; l++) {
                ballot |= (warp[l] & 1) << l;
                match |= ((warp[l] & 3) == (warp[lane] & 3) ? 1 : 0) << l;
                sum += warp[l];
                least = Math.min(least, warp[l]);
                any |= warp[l] == 77;
                int group = l < 16 ? 16 : 4;
                for (int other = l / group * group; other < l / group * group + group; other++) {
                    halfSums[l] += warp[other];
                }
                over += halfSums[l] > 100 ? 1 : 0;
            }
            int[] want = {warp[5], warp[(lane & 24) | ((lane + 3) & 7)], warp[lane >= 3 ? lane - 3 : lane],
                warp[(lane & 15) + 5 < 16 ? lane + 5 : lane], warp[lane ^ 9], warp[lane ^ 1], warp[lane < 31 ? lane + 1 : lane], ballot,
                (any ? 1 : 0) + 2, match, sum, -least, least, halfSums[lane], over, 6 + 1000 * (fives > 0 ? 1 : 0) + 2000};
            assertArrayEquals(want, java.util.Arrays.copyOfRange(got, 16 * t, 16 * t + 16), "thread " + t);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void dynamicSharedMemory(boolean checked) {
        GpuKernel kernel = kernel(checked, "reverse");
        for (int threads : new int[] {1, 31, 1024}) {
            float[] x = random(threads);
            GpuMemory out = bench.driver.allocate(4L * threads);
            bench.launch(kernel, 1, threads, 8 * threads, bench.floats(x).address(), out.address(), 0L, 0, 0f);
            float[] got = bench.floats(out);
            for (int i = 0; i < threads; i++) {
                assertEquals(x[threads - 1 - i] + (threads - 1 - i), got[i]);
            }
        }
        GpuException refused = assertThrows(GpuException.class, () -> bench.launch(kernel, 1, 32, 227 * 1024 + 1, 0L, 0L, 0L, 0, 0f));
        assertTrue(refused.getMessage().contains("dynamic shared memory"), refused.getMessage());
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void atomics(boolean checked) {
        GpuKernel kernel = kernel(checked, "atomics");
        GpuMemory counters = bench.ints(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        // swaps is read plainly by no thread: the kernel multiplies that read by 0, so the compiler drops it.
        bench.launch(kernel, 3, 50, 0, 0L, counters.address(), 0L, 0, 0f);
        int[] got = bench.ints(counters);
        assertArrayEquals(new int[] {149 * 150 / 2, 149, -149, Integer.MAX_VALUE, 0, 300, 5, Float.floatToIntBits(75), 0, 300}, got);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void geometryInThreeDimensions(boolean checked) {
        GpuKernel kernel = kernel(checked, "geometry");
        GpuMemory out = bench.driver.allocate(4 * 2 * 3 * 4 * 15);
        bench.stream.launch(kernel, 4, 3, 2, 5, 3, 0, bench.arguments(0L, out.address(), 0L, 0, 0f));
        int[] got = bench.ints(out);
        int at = 0;
        for (int z = 0; z < 2; z++) {
            for (int y = 0; y < 3; y++) {
                for (int x = 0; x < 4; x++) {
                    for (int t = 0; t < 15; t++) {
                        assertEquals(10000 * z + 1000 * y + 100 * x + 10 * (t / 5) + t % 5, got[at++]);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void lastBlock(boolean checked) {
        GpuKernel kernel = kernel(checked, "last_block");
        float[] x = random(64 * 64);
        GpuMemory out = bench.driver.allocate(8);
        GpuMemory partial = bench.driver.allocate(256);
        bench.launch(kernel, 64, 64, 0, bench.floats(x).address(), out.address(), partial.address(), 1, 0f);
        double sum = 0;
        for (float value : x) {
            sum += value;
        }
        assertEquals(sum, bench.floats(out)[1], 1e-3);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void numbers(boolean checked) {
        GpuKernel kernel = kernel(checked, "numbers");
        float[] x = {1.0000001f, 1.0000002f, -1.0000003f, 4};
        GpuMemory out = bench.driver.allocate(28);
        bench.launch(kernel, 1, 1, 0, bench.floats(x).address(), out.address(), 0L, 1, 2.5f);
        float[] got = bench.floats(out);
        assertEquals(x[0] * x[1] + x[2], got[0]);
        assertEquals(Math.fma(x[0], x[1], x[2]), got[1]);
        assertTrue(got[0] != got[1], "the numbers tell one rounding from two");
        assertTrue(Float.isNaN(got[2]), "shared memory that nobody wrote is " + got[2]);
        assertEquals(x[0] + 3 + 0.5f + 1, got[3]);
        assertEquals(8 + 4 + 31 + 2 + 1 + 3 + 2, got[4]);
        assertEquals(1, got[5]);
        assertEquals(6, got[6]);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void halvesOfWords(boolean checked) {
        GpuKernel kernel = kernel(checked, "halves");
        GpuMemory out = bench.driver.allocate(2 * 2 * 63);
        // An odd number of threads, so that blocks share a word.
        bench.launch(kernel, 2, 63, 0, 0L, out.address(), 0L, 0, 0f);
        short[] got = bench.shorts(out);
        for (int i = 1; i < 126; i++) {
            if (i != 63) {
                assertEquals(63 - i % 63, got[i], "element " + i);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void exchangeInWarps(boolean checked) {
        GpuKernel kernel = kernel(checked, "warp_exchange");
        GpuMemory out = bench.driver.allocate(256);
        bench.launch(kernel, 1, 64, 0, 0L, out.address(), 0L, 0, 0f);
        int[] got = bench.ints(out);
        for (int i = 0; i < 64; i++) {
            assertEquals((i ^ 1) + 2, got[i]);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void kernelsCopyBytesAndUsePinnedMemory(boolean checked) {
        GpuKernel kernel = kernel(checked, "say_hello");
        var pinned = bench.driver.allocatePinned(12);
        GpuMemory in = bench.ints(4, 5, 6);
        bench.launch(kernel, 1, 32, 0, in.address(), pinned.segment().address(), 0L, 12, 0f);
        assertArrayEquals(new int[] {4, 5, 6}, pinned.segment().toArray(java.lang.foreign.ValueLayout.JAVA_INT));
    }
}

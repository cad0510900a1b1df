package org.respec.bindings.gpu.emulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;

/** Mistakes of kernels end in a sentence, never in the end of the process. */
class KernelMistakesTest {
    private static final int THREADS = 64;

    /** Runs one mistake in two blocks; returns the message. */
    private static String report(boolean checked, int mistake) {
        try (EmulatorBench bench = new EmulatorBench(EmulatorOptions.defaults().withChecked(checked).withLaunchSeconds(1))) {
            GpuKernel kernel = bench.kernel(EmulatorBench.file("mistakes.cu", "mistake"), "mistake");
            GpuMemory data = bench.driver.allocate(128 * 4);
            GpuMemory freed = bench.driver.allocate(4096);
            long freedAddress = freed.address();
            freed.close();
            int n = mistake == 13 ? 1 : mistake >= 30 ? 64 : 128;
            bench.launch(kernel, 2, THREADS, 256, data.address(), freedAddress, n, 0);
            int blocks = mistake == 3 || mistake == 4 ? 2 : 1;
            GpuException error = assertThrows(GpuException.class,
                () -> bench.launch(kernel, blocks, THREADS, 256, data.address(), freedAddress, n, mistake));
            GpuException dead = assertThrows(GpuException.class, bench.stream::synchronize);
            assertTrue(dead.getMessage().contains("dead") && dead.getMessage().contains(error.getMessage()), dead.getMessage());
            assertThrows(GpuException.class, () -> bench.driver.allocate(1));
            assertTrue(error.getMessage().startsWith("mistakes.cu:mistake, grid (" + blocks + ",1,1) of blocks (64,1,1), block ("),
                error.getMessage());
            return error.getMessage();
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "1 | of static shared memory: thread (32,0,0) writes what thread (31,0,0) of the same block read",
        "2 | race on byte",
        "3 | race on byte 0 of a device buffer of 512 bytes: thread (0,0,0) writes what thread (0,0,0) of block (0,0,0) wrote",
        "4 | race on byte",
        "5 | writes what several threads read",
        "6 | writes what several threads atomically changed, at last thread (63,0,0) of the same block",
        "7 | writes what thread (0,0,0) of the same block wrote",
        "10 | reads 4 bytes at",
        "11 | writes 4 bytes at",
        "12 | writes 4 bytes at",
        "13 | byte 256 of dynamic shared memory, of which the launch has 256 bytes",
        "14 | takes element 64 of an array of type 'int [64]'",
        "15 | misaligned address",
        "16 | out of bounds",
        "17 | out of bounds",
        "18 | that was freed",
        "20 | divergent barrier",
        "21 | divergent barrier",
        "22 | barriers of different kinds",
        "23 | deadlock",
        "24 | leaves out the lane that calls it, 16",
        "25 | takes from lane 20",
        "26 | have left the kernel",
        "27 | meet in different operations",
        "30 | divided by zero",
        "31 | __trap",
        "32 | assertion failed: t < 60 && \"few threads\" (mistakes.cu:",
        "33 | stack of 128 KiB overflowed",
        "34 | did not end within 1 seconds"})
    void checked(int mistake, String expected) {
        String message = report(true, mistake);
        assertTrue(message.contains(expected), message);
        if (mistake != 33) {
            assertTrue(message.matches("(?s).*(mistakes.cu:[0-9]+).*"), message);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "16 | an access outside of every buffer",
        "17 | at address 0x0",
        "18 | that was freed",
        "20 | divergent barrier",
        "21 | divergent barrier",
        "22 | barriers of different kinds",
        "23 | deadlock",
        "24 | leaves out the lane that calls it, 16",
        "25 | takes from lane 20",
        "26 | have left the kernel",
        "30 | divided by zero",
        "31 | __trap",
        "32 | assertion failed",
        "33 | stack of 128 KiB overflowed",
        "35 | did not end within 1 seconds"})
    void unchecked(int mistake, String expected) {
        String message = report(false, mistake);
        assertTrue(message.contains(expected), message);
    }

    @Test
    void nearestBufferAndLineAreNamed() {
        String message = report(true, 11);
        assertTrue(message.contains("the nearest buffer has 512 bytes of device memory"), message);
        assertTrue(message.contains("this is byte 512 of it"), message);
        // The line of the inlined function, and of its call.
        assertTrue(message.matches("(?s).*\\(mistakes.cu:[0-9]+ in mistakes.cu:[0-9]+\\)"), message);
    }

    @Test
    void waitingThreadsAreNamed() {
        String message = report(true, 23);
        assertTrue(message.contains("threads 0 to 15 at __syncthreads, mistakes.cu:"), message);
        assertTrue(message.contains("threads 16 to 31 at __shfl_sync with mask ffffffff, mistakes.cu:"), message);
    }

    @Test
    void missingFenceIsARace() {
        try (EmulatorBench bench = new EmulatorBench(EmulatorOptions.defaults())) {
            GpuKernel kernel = bench.kernel(EmulatorBench.file("basics.cu", EmulatedKernelsTest.ENTRIES), "last_block");
            GpuMemory in = bench.driver.allocate(4 * 64 * 4);
            GpuMemory out = bench.driver.allocate(8);
            GpuMemory partial = bench.driver.allocate(16);
            GpuException error = assertThrows(GpuException.class,
                () -> bench.launch(kernel, 4, 64, 0, in.address(), out.address(), partial.address(), 0, 0f));
            assertTrue(error.getMessage().contains("nothing orders the two blocks"), error.getMessage());
        }
    }

    @Test
    void oneDeviceDiesAlone() {
        try (EmulatorBench healthy = new EmulatorBench(EmulatorOptions.defaults())) {
            report(false, 16);
            GpuMemory memory = healthy.ints(1, 2);
            assertEquals(2, healthy.ints(memory)[1]);
        }
    }
}

package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunDelayTest {
    private static final long MILLI = 1_000_000;

    @TempDir
    private Path proc;
    private long now;
    private String decodeThread = "7";
    private final DecodeWork work = new DecodeWork(() -> decodeThread);

    @BeforeEach
    void threads() throws IOException {
        write("thread-self/schedstat", "1000 0 1\n");
        stat(5, 0);
        thread(7, "main", 0, 0);
        thread(8, "respec-cpu-1", 0, 0);
        thread(9, "C2 CompilerThre", 0, 0);
    }

    private void write(String file, String text) throws IOException {
        Files.createDirectories(proc.resolve(file).getParent());
        Files.writeString(proc.resolve(file), text);
    }

    private void thread(int id, String name, long ranMillis, long waitedMillis) throws IOException {
        write("self/task/" + id + "/comm", name + "\n");
        write("self/task/" + id + "/schedstat", ranMillis * MILLI + " " + waitedMillis * MILLI + " 12345\n");
    }

    @Test
    void waitsOfDecodeThreadAndWorkersCount() throws IOException {
        try (RunDelay delay = RunDelay.open(proc, work, () -> now)) {
            assertTrue(Double.isNaN(delay.getAsDouble()), "nobody decodes");
            work.add(1, MILLI);
            assertTrue(Double.isNaN(delay.getAsDouble()), "what was before the first look does not count");
            now += 4 * MILLI;
            thread(7, "main", 4, 0);
            thread(8, "respec-cpu-1", 2, 2);
            thread(9, "C2 CompilerThre", 0, 4);
            assertEquals(2 / 8.0, delay.getAsDouble(), 1e-9);
            // After 20 ms the sums before count 1/e.
            now += 20 * MILLI;
            thread(7, "main", 14, 10);
            thread(8, "respec-cpu-1", 12, 12);
            assertEquals((2 / Math.E + 20) / (8 / Math.E + 40), delay.getAsDouble(), 1e-9);
            // While a wait lasts, it is not told: the share stays.
            now += 3 * MILLI;
            assertEquals((2 / Math.E + 20) / (8 / Math.E + 40), delay.getAsDouble(), 1e-9);
            // A little is nobody.
            now += 1000 * MILLI;
            thread(7, "main", 1014, 40);
            assertEquals(0, delay.getAsDouble());
        }
    }

    /** All processors' busy ticks, spread over what counts as busy, and stolen ones; idle ticks and single processors do not matter. */
    private void stat(int busy, int stolen) throws IOException {
        write("stat", "cpu  " + (busy - 5) + " 1 2 90000 777 1 1 " + stolen + " 33 0\ncpu0 7 7 7 7 7 7 7 700 0 0\nintr 5\n");
    }

    /** What a hypervisor takes comes off the time that was not waited, over the last second, and a tick or two is nobody. */
    @Test
    void stolenTimeCounts() throws IOException {
        stat(1000, 500);
        try (RunDelay delay = RunDelay.open(proc, work, () -> now)) {
            work.add(1, MILLI);
            delay.getAsDouble();
            now += 100 * MILLI;
            thread(7, "main", 8, 2);
            stat(1010, 505);
            assertEquals(0.2, delay.getAsDouble(), 1e-9, "fifteen ticks say nothing yet");
            now += 900 * MILLI;
            thread(7, "main", 808, 202);
            stat(1070, 525);
            double kept = Math.exp(-0.9);
            double stolen = (5 * kept + 20) / (15 * kept + 80);
            assertEquals(1 - 0.8 * (1 - stolen), delay.getAsDouble(), 1e-9);
            // It is looked at ten times a second.
            now += 50 * MILLI;
            thread(7, "main", 848, 212);
            stat(1070, 625);
            assertEquals(1 - 0.8 * (1 - stolen), delay.getAsDouble(), 1e-9);
            // Gone, it fades; three stolen ticks of a hundred are too few to tell.
            now += 60_000 * MILLI;
            thread(7, "main", 60_848, 212);
            stat(1167, 528);
            delay.getAsDouble();
            now += 60_000 * MILLI;
            thread(7, "main", 120_848, 212);
            stat(1264, 531);
            assertEquals(0, delay.getAsDouble());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "cpu 1 2 3\n", "cpu 1 2 3 4 5 6 7 x 0 0\n", "intr 1 2 3 4 5 6 7 8 9\n"})
    void aKernelThatDoesNotTellOfStolenTimeIsAnError(String text) throws IOException {
        write("stat", text);
        assertThrows(IOException.class, () -> RunDelay.open(proc, work, () -> now));
    }

    @Test
    void threadsComeAndGo() throws IOException {
        try (RunDelay delay = RunDelay.open(proc, work, () -> now)) {
            work.add(1, MILLI);
            delay.getAsDouble();
            thread(10, "respec-cpu-2", 500, 500);
            now += 1001 * MILLI;
            thread(7, "main", 1000, 0);
            assertEquals(0, delay.getAsDouble(), "a new worker's past is not of late");
            now += 4 * MILLI;
            thread(10, "respec-cpu-2", 500, 900);
            assertTrue(delay.getAsDouble() > 0);
            // Another thread decodes now, and the worker has ended.
            decodeThread = "11";
            thread(11, "other", 0, 0);
            Files.delete(proc.resolve("self/task/10/schedstat"));
            Files.delete(proc.resolve("self/task/10/comm"));
            Thread decoding = Thread.ofPlatform().start(() -> work.add(1, MILLI));
            decoding.join();
            assertEquals("11", work.thread());
            now += 1000 * MILLI;
            delay.getAsDouble();
            now += 4 * MILLI;
            thread(7, "main", 1000, 100);
            thread(11, "other", 3, 1);
            assertEquals(0.25, delay.getAsDouble(), 1e-6);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "0 0 0\n", "1000\n"})
    void aKernelThatDoesNotCountIsAnError(String text) throws IOException {
        write("thread-self/schedstat", text);
        assertThrows(IOException.class, () -> RunDelay.open(proc, work, () -> now));
        Files.delete(proc.resolve("thread-self/schedstat"));
        assertThrows(IOException.class, () -> RunDelay.open(proc, work, () -> now));
    }

    /** On this host, where its kernel counts: threads have numbers of their own, and one that computes has run and has a share. */
    @Test
    void thisHostsThreadsAreFound() throws Exception {
        String own = RunDelay.currentThread();
        assumeTrue(!own.isEmpty(), "no /proc/thread-self");
        String[] other = {""};
        Thread.ofPlatform().start(() -> other[0] = RunDelay.currentThread()).join();
        assertFalse(own.equals(other[0]));
        long[] clock = {0};
        DecodeWork here = new DecodeWork(RunDelay::currentThread);
        RunDelay opened = null;
        try {
            opened = RunDelay.open(Path.of("/proc"), here, () -> clock[0]);
        } catch (IOException e) {
            assumeTrue(false, e.getMessage());
        }
        try (RunDelay delay = opened) {
            here.add(1, 1);
            delay.getAsDouble();
            double share = Double.NaN;
            for (int i = 0; i < 1_000_000 && Double.isNaN(share); i++) {
                Thread.yield();
                share = delay.getAsDouble();
            }
            assertTrue(share >= 0 && share <= 1, "share " + share);
        }
    }
}

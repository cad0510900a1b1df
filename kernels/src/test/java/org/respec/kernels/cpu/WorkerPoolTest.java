package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WorkerPoolTest {
    /** Long enough to be shared on any machine. */
    private static final long HEAVY = 1_000_000;

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7})
    void everyItemIsDoneExactlyOnceBeforeRunReturns(int threads) {
        SplittableRandom random = new SplittableRandom(5);
        try (WorkerPool pool = new WorkerPool(threads)) {
            AtomicIntegerArray done = new AtomicIntegerArray(300);
            for (int loop = 1; loop <= 20_000; loop++) {
                int count = random.nextInt(0, 300) >> random.nextInt(6);
                long nanos = random.nextBoolean() ? HEAVY : random.nextLong(3000);
                pool.run((from, to, thread) -> {
                    assertTrue(from < to && thread >= 0 && thread < threads);
                    for (int i = from; i < to; i++) {
                        done.incrementAndGet(i);
                    }
                }, count, nanos);
                for (int i = 0; i < 300; i++) {
                    assertEquals(i < count ? 1 : 0, done.getAndSet(i, 0), "item " + i + " of loop " + loop + " with " + count);
                }
            }
        }
    }

    @Test
    void otherThreadsTakePart() throws InterruptedException {
        try (WorkerPool pool = new WorkerPool(3)) {
            AtomicIntegerArray seen = new AtomicIntegerArray(3);
            for (int loop = 0; loop < 100 && seen.get(1) * seen.get(2) == 0; loop++) {
                pool.run((from, to, thread) -> {
                    seen.set(thread, 1);
                    sleep();
                }, 12, HEAVY);
                // Workers fall asleep in between.
                sleep();
            }
            assertTrue(seen.get(0) == 1 && seen.get(1) == 1 && seen.get(2) == 1, seen.toString());
        }
    }

    private static void sleep() {
        try {
            Thread.sleep(5);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aFailedChunkIsReportedOnceAllOthersAreDone() {
        try (WorkerPool pool = new WorkerPool(2)) {
            for (int loop = 0; loop < 500; loop++) {
                AtomicLong done = new AtomicLong();
                int bad = loop % 40;
                IllegalArgumentException thrown = assertThrows(IllegalArgumentException.class, () -> pool.run((from, to, thread) -> {
                    done.addAndGet(to - from);
                    if (from <= bad && bad < to) {
                        throw new IllegalArgumentException("item " + bad);
                    }
                }, 40, HEAVY));
                assertEquals("item " + bad, thrown.getMessage());
                assertEquals(40, done.get());
            }
            pool.run((from, to, thread) -> { }, 40, HEAVY);
        }
    }

    @Test
    void aLoopInsideALoopAndUseAfterCloseAreRefused() {
        WorkerPool pool = new WorkerPool(2);
        assertThrows(IllegalStateException.class, () -> pool.run((f, t, thread) -> pool.run((a, b, c) -> { }, 1, 1), 1, 1));
        assertThrows(IllegalStateException.class, () -> pool.run((f, t, thread) -> pool.close(), 1, 1));
        pool.close();
        pool.close();
        assertThrows(IllegalStateException.class, () -> pool.run((f, t, thread) -> { }, 1, 1));
        assertFalse(Thread.getAllStackTraces().keySet().stream().anyMatch(t -> t.getName().startsWith("respec-cpu-") && !t.isDaemon()));
    }
}

package org.respec.kernels.cpu;

import java.util.concurrent.locks.LockSupport;

/**
 * A fixed team of threads for parallel loops over parts. The caller is one of them. Between loops workers spin for a short while,
 * then park, so that back-to-back operators pay well under a microsecond and an idle engine costs nothing.
 *
 * <p>Which thread runs which part never affects results: parts write to disjoint places.
 */
public final class WorkerPool implements AutoCloseable {
    /** One part of a loop. */
    @FunctionalInterface
    public interface Part {
        void run(int part, int parts);
    }

    private static final long SPIN_NANOS = 50_000;

    private final Thread[] workers;
    private volatile Part task;
    private volatile long generation;
    private volatile boolean closed;
    private final PaddedCounter[] done;
    private volatile Throwable failure;

    /** Padded so that workers' counters do not share cache lines. */
    private static final class PaddedCounter {
        @SuppressWarnings("unused")
        private long p0, p1, p2, p3, p4, p5, p6;
        private volatile long value;
        @SuppressWarnings("unused")
        private long q0, q1, q2, q3, q4, q5, q6;
        private volatile boolean parked;
    }

    /** A pool that runs loops on {@code threads} threads, the caller included. */
    public WorkerPool(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads " + threads + ": at least 1");
        }
        workers = new Thread[threads - 1];
        done = new PaddedCounter[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            done[i] = new PaddedCounter();
            int worker = i;
            workers[i] = Thread.ofPlatform().daemon().name("respec-cpu-" + (i + 1)).unstarted(() -> loop(worker));
        }
        for (Thread worker : workers) {
            worker.start();
        }
    }

    /** Threads that take part, the caller included. */
    public int threads() {
        return workers.length + 1;
    }

    /** Runs parts 0 to {@code threads() - 1} of the loop, one per thread, and returns when all are done. */
    public void run(Part part) {
        int parts = threads();
        if (parts == 1) {
            part.run(0, 1);
            return;
        }
        task = part;
        long now = generation + 1;
        generation = now;
        for (int i = 0; i < workers.length; i++) {
            if (done[i].parked) {
                LockSupport.unpark(workers[i]);
            }
        }
        Throwable mine = null;
        try {
            part.run(0, parts);
        } catch (Throwable t) {
            mine = t;
        }
        for (PaddedCounter counter : done) {
            int spins = 0;
            while (counter.value != now) {
                if (++spins < 20_000) {
                    Thread.onSpinWait();
                } else {
                    Thread.yield();
                }
            }
        }
        Throwable theirs = failure;
        failure = null;
        if (mine != null || theirs != null) {
            throw new IllegalStateException("a parallel loop failed", mine != null ? mine : theirs);
        }
    }

    private void loop(int worker) {
        PaddedCounter mine = done[worker];
        long seen = 0;
        while (true) {
            long deadline = System.nanoTime() + SPIN_NANOS;
            int spins = 0;
            while (generation == seen && !closed) {
                Thread.onSpinWait();
                if ((++spins & 63) == 0 && System.nanoTime() > deadline) {
                    mine.parked = true;
                    if (generation == seen && !closed) {
                        LockSupport.park(this);
                    }
                    mine.parked = false;
                }
            }
            if (closed) {
                return;
            }
            seen = generation;
            try {
                task.run(worker + 1, workers.length + 1);
            } catch (Throwable t) {
                failure = t;
            }
            mine.value = seen;
        }
    }

    @Override
    public void close() {
        closed = true;
        for (Thread worker : workers) {
            LockSupport.unpark(worker);
        }
        for (Thread worker : workers) {
            try {
                worker.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }
}

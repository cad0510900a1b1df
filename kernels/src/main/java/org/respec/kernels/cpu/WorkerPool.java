package org.respec.kernels.cpu;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed team of threads for parallel loops over parts. The caller is one of them. Between loops workers spin for a short while,
 * then park, so that back-to-back operators pay about a microsecond and an idle engine costs nothing.
 *
 * <p>Which thread runs which part never affects results: parts write to disjoint places. A loop allocates nothing.
 */
public final class WorkerPool implements AutoCloseable {
    /** One part of a loop. */
    @FunctionalInterface
    public interface Part {
        /** Does part {@code part} of {@code parts}. */
        void run(int part, int parts);
    }

    private static final long SPIN_NANOS = 50_000;
    private static final int SPINS_BEFORE_YIELD = 20_000;

    private final Thread[] workers;
    private final Signal[] signals;
    /** Held while a loop runs, and for good once the pool is closed. */
    private final AtomicBoolean busy = new AtomicBoolean();
    private volatile boolean closed;
    /** The loop of the current generation; written before {@code generation}, read after it. */
    private Part task;
    private volatile long generation;
    private volatile Throwable failure;

    /** What one worker tells the caller. Padded, so that workers do not write to one cache line. */
    private static final class Signal {
        @SuppressWarnings("unused")
        private long p0, p1, p2, p3, p4, p5, p6, p7;
        /** The last generation whose part is done. */
        private volatile long done;
        private volatile long parked;
        @SuppressWarnings("unused")
        private long q0, q1, q2, q3, q4, q5, q6, q7;
    }

    /** A pool that runs loops on {@code threads} threads, the caller included. */
    public WorkerPool(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads must be 1 or more, got " + threads);
        }
        workers = new Thread[threads - 1];
        signals = new Signal[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            signals[i] = new Signal();
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

    /**
     * Runs parts 0 to {@code threads() - 1} of the loop, one per thread, and returns when all are done, failed ones included.
     *
     * @throws IllegalStateException if a part failed (its cause: one of the failures), if a loop is running already, be it that a
     *     part called this, or if the pool is closed
     */
    public void run(Part part) {
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException(closed ? "the worker pool is closed" : "the worker pool is running another loop");
        }
        Throwable mine = null;
        Throwable theirs;
        try {
            start(part);
            try {
                invoke(part, 0, workers.length + 1);
            } catch (Throwable t) {
                mine = t;
            }
            await();
            theirs = failure;
            failure = null;
        } finally {
            busy.set(false);
        }
        if (mine != null || theirs != null) {
            throw new IllegalStateException("a parallel loop failed", mine != null ? mine : theirs);
        }
    }

    /** As {@link #run(Part)}, or, where waking the team would cost more than it saves, all in one part on the caller's thread. */
    void run(Part part, boolean alone) {
        if (alone || workers.length == 0) {
            invoke(part, 0, 1);
        } else {
            run(part);
        }
    }

    /**
     * The one place that parts are called from. It sees many kinds of parts, so the JIT does not inline them into the decode step:
     * a step inlined whole passes C2's node limit, after which vectors are boxed.
     */
    private static void invoke(Part part, int index, int parts) {
        part.run(index, parts);
    }

    private void start(Part part) {
        task = part;
        // A worker sets parked, then looks at generation; here the other way round: one of the two sees the other's write.
        generation = generation + 1;
        for (int i = 0; i < workers.length; i++) {
            if (signals[i].parked != 0) {
                LockSupport.unpark(workers[i]);
            }
        }
    }

    private void await() {
        long now = generation;
        for (int i = 0; i < signals.length; i++) {
            int spins = 0;
            while (signals[i].done != now) {
                if (++spins < SPINS_BEFORE_YIELD) {
                    Thread.onSpinWait();
                } else {
                    Thread.yield();
                }
            }
        }
    }

    private void loop(int worker) {
        Signal signal = signals[worker];
        long seen = 0;
        while (awaitNext(signal, seen)) {
            seen = generation;
            try {
                invoke(task, worker + 1, workers.length + 1);
            } catch (Throwable t) {
                failure = t;
            }
            signal.done = seen;
        }
    }

    /** Waits for a generation after {@code seen}; false when the pool is closed. */
    private boolean awaitNext(Signal signal, long seen) {
        long deadline = System.nanoTime() + SPIN_NANOS;
        for (int spins = 1; generation == seen && !closed; spins++) {
            Thread.onSpinWait();
            if ((spins & 63) == 0 && System.nanoTime() - deadline > 0) {
                signal.parked = 1;
                if (generation == seen && !closed) {
                    LockSupport.park(this);
                }
                signal.parked = 0;
            }
        }
        return !closed;
    }

    /**
     * Ends the threads; a second call does nothing.
     *
     * @throws IllegalStateException if a loop is running
     */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException("the worker pool cannot close while it is running a loop");
        }
        closed = true;
        for (Thread worker : workers) {
            LockSupport.unpark(worker);
        }
        boolean interrupted = false;
        for (Thread worker : workers) {
            while (worker.isAlive()) {
                try {
                    worker.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}

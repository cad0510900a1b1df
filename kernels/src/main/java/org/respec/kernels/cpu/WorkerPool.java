package org.respec.kernels.cpu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed team of threads for parallel loops. The caller is one of them. Items are claimed in chunks, first come, first served, and a
 * worker that comes late finds the loop closed: cores of unlike speed, or one that the system has taken away, cost little. (With one
 * fixed half each, the caller spent 56 % of its time waiting on a shared machine.) Between loops workers spin for a short while, then
 * park, so that back-to-back operators pay about a microsecond and an idle engine costs nothing.
 *
 * <p>Which thread runs which chunk never affects results: items write to disjoint places. A loop allocates nothing.
 */
public final class WorkerPool implements AutoCloseable {
    /** The body of a loop. */
    @FunctionalInterface
    public interface Part {
        /** Does items {@code from} to {@code to - 1}; {@code thread} is under {@link #threads}, for scratch memory. */
        void run(int from, int to, int thread);
    }

    /**
     * Longer than what a step does alone between parallel loops: waking a sleeping worker costs up to 100 us on a virtual machine, and
     * with 50 us here every draft pass put the workers to sleep (a decode step of 190 us measured as 480).
     */
    private static final long SPIN_NANOS = 2_000_000;
    private static final int SPINS_BEFORE_YIELD = 20_000;
    /** Chunks that a loop is cut into for each thread, if its items allow. */
    private static final int CHUNKS = 4;

    /** {@link #gate} holds the loop's number, this bit once it is closed, and how many workers have joined. */
    private static final long CLOSED = 1L << 15;
    private static final int NUMBER_SHIFT = 16;
    private static final long JOINED = CLOSED - 1;

    private static final VarHandle GATE;
    private static final VarHandle NEXT;
    private static final VarHandle DONE;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            GATE = lookup.findVarHandle(WorkerPool.class, "gate", long.class);
            NEXT = lookup.findVarHandle(WorkerPool.class, "next", int.class);
            DONE = lookup.findVarHandle(WorkerPool.class, "done", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final Thread[] workers;
    private final Parking[] parkings;
    /** Held while a loop runs, and for good once the pool is closed. */
    private final AtomicBoolean busy = new AtomicBoolean();
    private volatile boolean closed;
    // The loop; written before the gate opens, read by those who have joined.
    private Part task;
    private int items;
    private int grain;
    private volatile Throwable failure;
    @SuppressWarnings("unused")
    private long p0, p1, p2, p3, p4, p5, p6, p7;
    private volatile long gate = CLOSED;
    @SuppressWarnings("unused")
    private long q0, q1, q2, q3, q4, q5, q6, q7;
    /** First item that nobody has claimed. */
    @SuppressWarnings("unused")
    private volatile int next;
    /** Joined workers that have left again. */
    @SuppressWarnings("unused")
    private volatile int done;

    /** Whether a worker sleeps. */
    private static final class Parking {
        private volatile boolean parked;
    }

    /** A pool that runs loops on {@code threads} threads, the caller included. */
    public WorkerPool(int threads) {
        if (threads < 1 || threads > JOINED) {
            throw new IllegalArgumentException("threads must be 1 to " + JOINED + ", got " + threads);
        }
        workers = new Thread[threads - 1];
        parkings = new Parking[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            parkings[i] = new Parking();
            int worker = i;
            workers[i] = Thread.ofPlatform().daemon().name("respec-cpu-" + (i + 1)).unstarted(() -> work(worker));
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
     * Runs {@code part} over items 0 to {@code count - 1} and returns when all are done, failed ones included.
     *
     * @param least where there are no more items than this, at least 1, the caller does them by itself; chunks are no less than half
     * @throws RuntimeException what a chunk threw: one of them, if there were several
     * @throws IllegalStateException if a loop is running already, be it that a chunk called this, or if the pool is closed
     */
    public void run(Part part, int count, int least) {
        if (count <= 0) {
            return;
        }
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException(closed ? "the worker pool is closed" : "the worker pool is running another loop");
        }
        try {
            if (workers.length == 0 || count <= least) {
                invoke(part, 0, count, 0);
            } else {
                together(part, count, Math.max(Math.ceilDiv(least, 2), Math.ceilDiv(count, CHUNKS * threads())));
            }
        } finally {
            busy.set(false);
        }
    }

    private void together(Part part, int count, int chunk) {
        task = part;
        items = count;
        grain = chunk;
        NEXT.set(this, 0);
        DONE.set(this, 0);
        gate = (gate >>> NUMBER_SHIFT) + 1 << NUMBER_SHIFT;
        for (int i = 0; i < workers.length; i++) {
            // A worker sets parked, then looks at the gate; here the other way round: one of the two sees the other's write.
            if (parkings[i].parked) {
                LockSupport.unpark(workers[i]);
            }
        }
        claim(0);
        int joined = (int) ((long) GATE.getAndBitwiseOr(this, CLOSED) & JOINED);
        for (int spins = 0; done != joined; spins++) {
            if (spins < SPINS_BEFORE_YIELD) {
                Thread.onSpinWait();
            } else {
                Thread.yield();
            }
        }
        Throwable first = failure;
        if (first != null) {
            failure = null;
            if (first instanceof RuntimeException e) {
                throw e;
            }
            throw new IllegalStateException("a parallel loop failed", first);
        }
    }

    private void claim(int thread) {
        Part part = task;
        int count = items;
        int chunk = grain;
        try {
            for (int from = (int) NEXT.getAndAdd(this, chunk); from < count; from = (int) NEXT.getAndAdd(this, chunk)) {
                invoke(part, from, Math.min(count, from + chunk), thread);
            }
        } catch (Throwable t) {
            failure = t;
        }
    }

    /**
     * The one place that parts are called from. It sees many kinds of parts, so the JIT does not inline them into the decode step:
     * a step inlined whole passes C2's node limit, after which vectors are boxed.
     */
    private static void invoke(Part part, int from, int to, int thread) {
        part.run(from, to, thread);
    }

    private void work(int worker) {
        long seen = 0;
        while ((seen = awaitNext(parkings[worker], seen)) >= 0) {
            long now = gate;
            while (now >>> NUMBER_SHIFT == seen && (now & CLOSED) == 0) {
                if (GATE.compareAndSet(this, now, now + 1)) {
                    claim(worker + 1);
                    DONE.getAndAdd(this, 1);
                    break;
                }
                now = gate;
            }
        }
    }

    /** Waits for a loop after number {@code seen} and returns its number; -1 when the pool is closed. */
    private long awaitNext(Parking parking, long seen) {
        long start = System.nanoTime();
        for (int spins = 1; gate >>> NUMBER_SHIFT == seen && !closed; spins++) {
            Thread.onSpinWait();
            if ((spins & 63) == 0 && System.nanoTime() - start > SPIN_NANOS) {
                parking.parked = true;
                if (gate >>> NUMBER_SHIFT == seen && !closed) {
                    LockSupport.park(this);
                }
                parking.parked = false;
            }
        }
        return closed ? -1 : gate >>> NUMBER_SHIFT;
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

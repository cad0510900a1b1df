package org.respec.kernels.cpu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed team of threads for parallel loops. The caller is one of them. Each thread has its share of the items, the same one every
 * time, so that weights stay in its core's cache; it takes it chunk by chunk, and then helps with what others have left, so that cores
 * of unlike speed, or one that the system has taken away, cost little. (With one fixed half each and no help, the caller spent 56 % of
 * its time waiting on a shared machine.) Between loops workers spin for a short while, then park, so that back-to-back operators cost
 * little and an idle engine costs nothing.
 *
 * <p>A decode step of a small model has dozens of loops of some microseconds, so what a loop costs is what cache lines have to travel:
 * where the system puts the two threads on cores without a common cache, every trip takes longer than all work of a chunk. A loop is
 * handed to a worker by one line, and comes back by the same one. (One gate and one counter for all took 1.25 us a loop on such cores,
 * and 40 us of a pass over four rows.) What the trip costs now is measured all the time, and a loop that would gain too little is run by
 * the caller alone ({@link SharingThreshold}): the system moves threads about, and other programs take their cores away.
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
    /** Chunks that a thread's share is cut into, if its items allow. */
    private static final int CHUNKS = 4;
    /** A chunk takes at least as long as some claims. */
    private static final long LEAST_CHUNK_NANOS = 250;
    /** Loops between two measurements of a round trip, and after which a sleeping worker that was woken for one is awake. */
    private static final int TRIP_EVERY = 1024;
    private static final int AWAKE_AFTER = 128;
    /** After this a round trip is given up: the worker's core is busy with something else. */
    private static final long TRIP_LIMIT_NANOS = 10_000;
    /** Cache lines that go there and back: what a small loop's arguments, inputs and outputs come to. */
    private static final int TRIP_LINES = 16;
    private static final int TRIPS = 4;
    private static final int TRIPS_EACH = 3;
    private static final VarHandle LEFT;
    private static final VarHandle FINISHED;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            LEFT = lookup.findVarHandle(Share.class, "left", long.class);
            FINISHED = lookup.findVarHandle(Share.class, "finished", long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Fields of a subclass lie behind those of its superclass: room in front, so that no other object shares their line. */
    private abstract static class Front {
        @SuppressWarnings("unused")
        private long p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, pa, pb, pc, pd, pe, pf;
    }

    /** A thread's part of the running loop. */
    private abstract static class Share extends Front {
        /** Items that nobody has claimed: the first in the low half, the end in the high one. Whoever changes it owns a chunk. */
        volatile long left;
        /** Items that this thread has done in all loops so far; changed by itself alone. */
        volatile long finished;
        /** What to do, and how many items to claim at a time: written before {@link #left} offers any, valid while some are left. */
        Part task;
        int grain;
        volatile boolean parked;
    }

    /** Room behind. */
    private static final class Lane extends Share {
        @SuppressWarnings("unused")
        private long q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, qa, qb, qc, qd, qe, qf;
    }

    private final Thread[] workers;
    /** The caller's comes first. */
    private final Lane[] lanes;
    /** Items that all workers had done when the last loop ended. */
    private long finishedBefore;
    /** Held while a loop runs, and for good once the pool is closed. */
    private final AtomicBoolean busy = new AtomicBoolean();
    private volatile boolean closed;
    private volatile Throwable failure;
    /** The last round trips; what counts is the least, since an interrupt says nothing about the next loop. */
    private final long[] trips = new long[TRIPS];
    private final long[] cargo = new long[8 * TRIP_LINES];
    private final Part trip = this::travel;
    private int tripCount;
    private int untilTrip;
    private final SharingThreshold threshold = new SharingThreshold();

    /** A pool that runs loops on {@code threads} threads, the caller included. */
    public WorkerPool(int threads) {
        if (threads < 1 || threads > 1 << 15) {
            throw new IllegalArgumentException("threads must be 1 to " + (1 << 15) + ", got " + threads);
        }
        workers = new Thread[threads - 1];
        lanes = new Lane[threads];
        for (int i = 0; i < threads; i++) {
            lanes[i] = new Lane();
        }
        for (int i = 0; i < workers.length; i++) {
            int thread = i + 1;
            workers[i] = Thread.ofPlatform().daemon().name("respec-cpu-" + thread).unstarted(() -> work(thread));
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
     * Runs {@code part} over items 0 to {@code count - 1} and returns when all are done, failed ones included. The caller does them by
     * itself where that is faster.
     *
     * @param itemNanos about how long one item takes one thread, in nanoseconds
     * @throws RuntimeException what a chunk threw: one of them, if there were several
     * @throws IllegalStateException if a loop is running already, be it that a chunk called this, or if the pool is closed
     */
    public void run(Part part, int count, long itemNanos) {
        if (count <= 0) {
            return;
        }
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException(closed ? "the worker pool is closed" : "the worker pool is running another loop");
        }
        try {
            if (workers.length > 0 && --untilTrip < 0) {
                measureTrip();
            }
            if (workers.length == 0 || count == 1) {
                invoke(part, 0, count, 0);
            } else if (threshold.next()) {
                long start = System.nanoTime();
                shareOrNot(part, count, itemNanos);
                threshold.took(times(count, itemNanos), System.nanoTime() - start);
            } else {
                shareOrNot(part, count, itemNanos);
            }
        } finally {
            busy.setRelease(false);
        }
    }

    private void shareOrNot(Part part, int count, long itemNanos) {
        // What workers save the caller, at best.
        long gain = times(count - Math.ceilDiv(count, threads()), itemNanos);
        if (threshold.shares(gain)) {
            together(part, count, Math.max(chunk(itemNanos), Math.ceilDiv(count, CHUNKS * threads())));
        } else {
            invoke(part, 0, count, 0);
        }
    }

    private static long times(int items, long itemNanos) {
        return items > 0 && itemNanos > Long.MAX_VALUE / items ? Long.MAX_VALUE : items * itemNanos;
    }

    private static int chunk(long itemNanos) {
        return (int) Math.ceilDiv(LEAST_CHUNK_NANOS, Math.max(1, itemNanos));
    }

    /** Measures what it takes to send some lines to a worker and back, as a small loop does. */
    private void measureTrip() {
        int worker = 1 + tripCount % workers.length;
        if (lanes[worker].parked) {
            LockSupport.unpark(workers[worker - 1]);
            untilTrip = AWAKE_AFTER;
            return;
        }
        untilTrip = TRIP_EVERY;
        long least = TRIP_LIMIT_NANOS;
        for (int i = 0; i < TRIPS_EACH; i++) {
            least = Math.min(least, roundTrip(lanes[worker]));
        }
        trips[tripCount++ % TRIPS] = least;
        for (int i = 0; i < Math.min(tripCount, TRIPS); i++) {
            least = Math.min(least, trips[i]);
        }
        threshold.trip(least);
    }

    private long roundTrip(Lane lane) {
        long start = System.nanoTime();
        travel(0, 1, 0);
        offer(lane, trip, 1, 0, 1);
        while (finished() == finishedBefore) {
            Thread.onSpinWait();
            if (System.nanoTime() - start > TRIP_LIMIT_NANOS && drain(lane, 0) == 1) {
                return TRIP_LIMIT_NANOS;
            }
        }
        finishedBefore++;
        travel(0, 1, 0);
        return System.nanoTime() - start;
    }

    private void travel(int from, int to, int thread) {
        for (int i = 0; i < cargo.length; i += 8) {
            cargo[i]++;
        }
    }

    private void together(Part part, int count, int chunk) {
        int threads = lanes.length;
        for (int i = threads - 1; i > 0; i--) {
            offer(lanes[i], part, chunk, share(count, i, threads), share(count, i + 1, threads));
        }
        for (int i = 1; i < threads; i++) {
            // Before the caller's own share, so that a long loop has the sleeper's help. One that falls asleep just now misses this
            // loop, which is done without it, and is woken by the next.
            if (lanes[i].parked) {
                LockSupport.unpark(workers[i - 1]);
            }
        }
        // The first chunk needs no claim.
        int end = share(count, 1, threads);
        int first = Math.min(chunk, end);
        offer(lanes[0], part, chunk, first, end);
        long done = first;
        try {
            invoke(part, 0, first, 0);
        } catch (Throwable t) {
            failure = t;
        }
        for (Lane lane : lanes) {
            done += drain(lane, 0);
        }
        finishedBefore += count - done;
        awaitFinished(finishedBefore);
        Throwable thrown = failure;
        if (thrown != null) {
            failure = null;
            if (thrown instanceof RuntimeException e) {
                throw e;
            }
            throw new IllegalStateException("a parallel loop failed", thrown);
        }
    }

    private void awaitFinished(long wanted) {
        for (int spins = 0; finished() != wanted; spins++) {
            if (spins < SPINS_BEFORE_YIELD) {
                Thread.onSpinWait();
            } else {
                Thread.yield();
            }
        }
    }

    /** Where a thread's share begins; the caller's is never empty. */
    private static int share(int count, int thread, int threads) {
        return (int) Math.ceilDiv((long) count * thread, (long) threads);
    }

    private static void offer(Lane lane, Part part, int grain, int from, int end) {
        lane.task = part;
        lane.grain = grain;
        LEFT.setRelease(lane, (long) end << 32 | from);
    }

    private long finished() {
        long sum = 0;
        for (int i = 1; i < lanes.length; i++) {
            sum += (long) FINISHED.getAcquire(lanes[i]);
        }
        return sum;
    }

    /** Claims and does chunks of a lane until none is left; returns the items done. */
    private int drain(Lane lane, int thread) {
        int done = 0;
        long now = (long) LEFT.getAcquire(lane);
        while ((int) now < (int) (now >>> 32)) {
            int from = (int) now;
            int to = (int) Math.min(now >>> 32, (long) from + lane.grain);
            long seen = (long) LEFT.compareAndExchange(lane, now, now + (to - from));
            if (seen == now) {
                // The loop cannot end before this chunk, so its task stays.
                try {
                    invoke(lane.task, from, to, thread);
                } catch (Throwable t) {
                    failure = t;
                }
                done += to - from;
                seen = (long) LEFT.getAcquire(lane);
            }
            now = seen;
        }
        return done;
    }

    /**
     * The one place that parts are called from. It sees many kinds of parts, so the JIT does not inline them into the decode step:
     * a step inlined whole passes C2's node limit, after which vectors are boxed.
     */
    private static void invoke(Part part, int from, int to, int thread) {
        part.run(from, to, thread);
    }

    private void work(int thread) {
        Lane own = lanes[thread];
        while (await(own)) {
            finish(own, drain(own, thread));
            for (int i = 1; i < lanes.length; i++) {
                finish(own, drain(lanes[(thread + i) % lanes.length], thread));
            }
        }
    }

    private static void finish(Lane own, int items) {
        if (items > 0) {
            FINISHED.setRelease(own, (long) FINISHED.get(own) + items);
        }
    }

    /** Waits until the lane offers items; false once the pool is closed. */
    private boolean await(Lane own) {
        long start = System.nanoTime();
        for (int spins = 1; !offers(own) && !closed; spins++) {
            Thread.onSpinWait();
            if ((spins & 63) == 0 && System.nanoTime() - start > SPIN_NANOS) {
                own.parked = true;
                if (!offers(own) && !closed) {
                    LockSupport.park(this);
                }
                own.parked = false;
                start = System.nanoTime();
            }
        }
        return !closed;
    }

    private static boolean offers(Lane lane) {
        long now = (long) LEFT.getAcquire(lane);
        return (int) now < (int) (now >>> 32);
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

package org.respec.engine.speculation;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;

/**
 * Share of the host that others take from decoding: of the time in which the decode thread and the operators' workers wanted a
 * processor, the part in which they had to wait for one, from {@code /proc/self/task/TID/schedstat}. The kernel counts it in
 * nanoseconds and adds a wait when it ends, some milliseconds after it began, so that a load is seen long before ticks of 10 ms could
 * tell it from rounding. Whoever takes a processor from these threads counts, the drafter's learner among them; whoever uses one that
 * they leave idle does not. Of the time that they did not wait, a hypervisor has taken such a share as of all that ran here, which is seen
 * later: see {@link StolenTime}.
 */
final class RunDelay implements DoubleSupplier, AutoCloseable {
    /** Time in which what was waited and run loses weight to 1/e: some of the kernel's time slices, of 3 to 4 ms where they are long. */
    private static final double DECAY_NANOS = 2e7;
    /** Less than this is the kernel's own work and that of whoever runs for an instant. */
    private static final double LEAST = 0.05;
    /**
     * Workers come and go with operators: they are looked for at first, and again and again, each time after twice as long. It takes some
     * 50 us, and some ms while its code is interpreted.
     */
    private static final long LIST_NANOS = 1_000_000_000L;
    private static final long MOST_LIST_NANOS = 64 * LIST_NANOS;
    private static final String WORKERS = "respec-cpu-";
    /** Threads that are looked at; more of them on a large machine would say the same. */
    private static final int MOST_THREADS = 8;

    /** A thread's open file with what it said last. */
    private static final class Waiting implements AutoCloseable {
        private final String id;
        private final ProcFile file;
        private long ran;
        private long waited;

        Waiting(String id, ProcFile file) {
            this.id = id;
            this.file = file;
        }

        /** Reads both counters; false if the thread has ended. */
        boolean read() {
            try {
                if (!file.read()) {
                    return false;
                }
                ran = file.number();
                waited = file.number();
                return true;
            } catch (IOException e) {
                return false;
            }
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }

    private final Path proc;
    private final StolenTime stolen;
    private final DecodeWork work;
    private final LongSupplier clock;
    private final List<Waiting> threads = new ArrayList<>();
    private String decoding = "";
    private long listed;
    private long nextList = LIST_NANOS;
    private long last;
    private double ran;
    private double waited;

    private RunDelay(Path proc, StolenTime stolen, DecodeWork work, LongSupplier clock) {
        this.proc = proc;
        this.stolen = stolen;
        this.work = work;
        this.clock = clock;
        last = clock.getAsLong();
    }

    /**
     * A reader for the threads that {@code work} names.
     *
     * @throws IOException if the kernel does not say how long threads wait, or what was stolen
     */
    static RunDelay open(Path proc, DecodeWork work, LongSupplier clock) throws IOException {
        Path own = proc.resolve("thread-self/schedstat");
        String[] words = Files.readString(own).strip().split(" ");
        // A kernel that does not count says so by zeros.
        if (words.length != 3 || words[0].equals("0")) {
            throw new IOException(own + " says '" + String.join(" ", words) + "'");
        }
        return new RunDelay(proc, new StolenTime(proc, clock.getAsLong()), work, clock);
    }

    /** The kernel's number of the calling thread; empty where it does not say. */
    static String currentThread() {
        try {
            return Files.readSymbolicLink(Path.of("/proc/thread-self")).getFileName().toString();
        } catch (IOException e) {
            return "";
        }
    }

    /** The share of late, NaN as long as no thread of decoding has run; {@link UncheckedIOException} if the kernel no longer says. */
    @Override
    public double getAsDouble() {
        long now = clock.getAsLong();
        boolean another = !decoding.equals(work.thread());
        if (another || now - listed > nextList) {
            list();
            nextList = another ? LIST_NANOS : Math.min(2 * nextList, MOST_LIST_NANOS);
            listed = now;
        }
        double kept = Math.exp((last - now) / DECAY_NANOS);
        last = now;
        ran *= kept;
        waited *= kept;
        for (int i = threads.size() - 1; i >= 0; i--) {
            Waiting thread = threads.get(i);
            long ranBefore = thread.ran;
            long waitedBefore = thread.waited;
            if (thread.read()) {
                ran += thread.ran - ranBefore;
                waited += thread.waited - waitedBefore;
            } else {
                close(threads.remove(i));
            }
        }
        if (ran + waited < 1000) {
            return Double.NaN;
        }
        double share;
        try {
            share = 1 - ran / (ran + waited) * (1 - stolen.share(now));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return share < LEAST ? 0 : share;
    }

    /** Opens the files of the threads that are new, and closes those of other threads. */
    private void list() {
        decoding = work.thread();
        List<String> wanted = new ArrayList<>();
        if (!decoding.isEmpty()) {
            wanted.add(decoding);
            try (DirectoryStream<Path> tasks = Files.newDirectoryStream(proc.resolve("self/task"))) {
                for (Path task : tasks) {
                    if (wanted.size() < MOST_THREADS && isWorker(task)) {
                        wanted.add(task.getFileName().toString());
                    }
                }
            } catch (IOException e) {
                // The decode thread alone, then.
            }
        }
        for (int i = threads.size() - 1; i >= 0; i--) {
            if (!wanted.remove(threads.get(i).id)) {
                close(threads.remove(i));
            }
        }
        for (String id : wanted) {
            try {
                Waiting thread = new Waiting(id, new ProcFile(proc.resolve("self/task").resolve(id).resolve("schedstat")));
                threads.add(thread);
                // What it did before it was looked at is not of late.
                thread.read();
            } catch (IOException e) {
                // It has ended meanwhile.
            }
        }
    }

    private static boolean isWorker(Path task) {
        try {
            return Files.readString(task.resolve("comm")).startsWith(WORKERS);
        } catch (IOException e) {
            return false;
        }
    }

    private static void close(Waiting thread) {
        try {
            thread.close();
        } catch (IOException e) {
            // It was only read.
        }
    }

    @Override
    public void close() {
        threads.forEach(RunDelay::close);
        threads.clear();
        stolen.close();
    }
}

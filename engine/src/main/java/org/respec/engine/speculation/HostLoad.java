package org.respec.engine.speculation;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.function.DoubleSupplier;

/**
 * Share of the host's processors that others use: all {@link ProcessorTicks} that were busy, stolen ones included, less what this process
 * used, to which the drafter's learner does not count: it competes with decoding like a stranger. Taken over the last 200 ms, since
 * the kernel counts in ticks of 10 ms, and 0 where it is too little to be told from rounding.
 */
final class HostLoad implements DoubleSupplier, AutoCloseable {
    /** Readings that one is compared with the oldest of. */
    private static final int WINDOW = 4;
    /** Least share that is more than ticks and their rounding. */
    private static final double LEAST = 0.05;
    private static final String LEARNER = "respec-drafter";

    private final Path proc;
    /** Whether a thread of ours is the learner's; a thread's name is set shortly after it begins, so it is looked at twice. */
    private final Map<String, Integer> looks = new HashMap<>();
    private final Map<String, Long> learners = new HashMap<>();
    private final double[][] readings = new double[WINDOW][];
    /** Null before the first reading. */
    private ProcessorTicks processors;
    private int count;

    HostLoad(Path proc) {
        this.proc = proc;
    }

    /** The share, NaN until there is something to compare with; {@link UncheckedIOException} if the kernel does not say. */
    @Override
    public double getAsDouble() {
        try {
            double[] now = reading();
            double[] then = readings[Math.max(0, count - WINDOW) % WINDOW];
            readings[count % WINDOW] = now;
            count++;
            if (count == 1 || now[0] <= then[0]) {
                return Double.NaN;
            }
            double share = ((now[1] - then[1]) - (now[2] - then[2])) / (now[0] - then[0]);
            return share < LEAST ? 0 : Math.min(share, 1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Ticks of all processors: all, busy, and our own without the learner's. */
    private double[] reading() throws IOException {
        if (processors == null) {
            processors = new ProcessorTicks(proc);
        } else {
            processors.read();
        }
        double busy = processors.busy() + processors.stolen();
        return new double[] {busy + processors.idle(), busy, ticks(Files.readString(proc.resolve("self/stat"))) - learnerTicks()};
    }

    private double learnerTicks() throws IOException {
        Path tasks = proc.resolve("self/task");
        if (!Files.isDirectory(tasks)) {
            return 0;
        }
        try (DirectoryStream<Path> threads = Files.newDirectoryStream(tasks)) {
            for (Path thread : threads) {
                String id = thread.getFileName().toString();
                int look = looks.merge(id, 1, Integer::sum);
                if (learners.containsKey(id) || look <= 2 && read(thread.resolve("comm")).strip().equals(LEARNER)) {
                    learners.put(id, Math.max(learners.getOrDefault(id, 0L), ticks(read(thread.resolve("stat")))));
                }
            }
        }
        // A thread that has ended keeps what it used: it is part of what the process used, too.
        return learners.values().stream().mapToLong(Long::longValue).sum();
    }

    private static String read(Path file) throws IOException {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            // The thread has ended meanwhile.
            return "";
        }
    }

    /** User and system ticks in a thread's or a process's stat line: fields 14 and 15, after a name in brackets that may hold anything. */
    private static long ticks(String stat) {
        String[] words = stat.substring(stat.lastIndexOf(')') + 1).strip().split(" ");
        return words.length < 13 ? 0 : Long.parseLong(words[11]) + Long.parseLong(words[12]);
    }

    @Override
    public void close() throws IOException {
        if (processors != null) {
            processors.close();
        }
    }
}

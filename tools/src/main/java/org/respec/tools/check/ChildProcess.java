package org.respec.tools.check;

import java.io.BufferedReader;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** A process whose output is passed on, line by line, and whose last words are kept. */
final class ChildProcess {
    private static final int KEPT_LINES = 12;
    /** How often somebody looks after a process that runs. */
    private static final long LOOK_MILLIS = 1000;
    /** A child of the child may hold on to the output for ever. */
    private static final long DRAIN_MILLIS = 5000;

    /**
     * How a process ended.
     *
     * @param exit its exit code; over 128 the number of a signal more than that
     * @param stuck whether it was ended because its time was up
     * @param lastLines of its output
     */
    record End(int exit, boolean stuck, List<String> lastLines) {
        String describe() {
            return (stuck ? "its process was ended because it was stuck" : "its process ended with exit code " + exit)
                + (lastLines.isEmpty() ? ", without a word" : "; its last lines: " + String.join(" | ", lastLines));
        }
    }

    private ChildProcess() {
    }

    /**
     * Runs a command to its end, or until its time is up.
     *
     * @param lines given each line of its output, on another thread
     * @param look called now and then while it runs
     * @throws IOException if it cannot be started
     */
    static End run(List<String> command, double mostSeconds, Consumer<String> lines, Runnable look) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        Deque<String> last = new ArrayDeque<>();
        Thread reader = Thread.ofPlatform().daemon().name("gpu-check output").start(() -> pass(process, lines, last));
        try {
            long deadline = System.nanoTime() + (long) (mostSeconds * 1e9);
            while (!process.waitFor(LOOK_MILLIS, TimeUnit.MILLISECONDS) && System.nanoTime() < deadline) {
                look.run();
            }
            boolean stuck = process.isAlive();
            if (stuck) {
                process.destroyForcibly();
            }
            int exit = process.waitFor();
            reader.join(DRAIN_MILLIS);
            synchronized (last) {
                return new End(exit, stuck, List.copyOf(last));
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a stage ran", e);
        }
    }

    private static void pass(Process process, Consumer<String> lines, Deque<String> last) {
        try (BufferedReader reader = process.inputReader()) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                lines.accept(line);
                synchronized (last) {
                    last.addLast(line);
                    if (last.size() > KEPT_LINES) {
                        last.removeFirst();
                    }
                }
            }
        } catch (IOException e) {
            // The process has gone with its output; its exit code says how.
            return;
        }
    }
}

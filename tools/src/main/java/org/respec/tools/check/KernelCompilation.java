package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.kernels.gpu.KernelPrecompiler;

/**
 * Fills the cache of compiled kernels before anything is timed. NVRTC runs one compile at a time in a process, so each processor gets a
 * process of its own; they need no device.
 */
final class KernelCompilation {
    private static final int MOST_PROCESSES = 32;
    private static final double MOST_SECONDS = 240;

    private KernelCompilation() {
    }

    /** Compiles every kernel for a device; says why it could not, or returns an empty text. */
    static String run(GpuDevice device, ObjectNode json, PrintStream out) {
        return run(device.architecture(), device.driverVersion(), Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MOST_PROCESSES),
            json, out);
    }

    static String run(String architecture, int driverVersion, int processes, ObjectNode json, PrintStream out) {
        long start = System.nanoTime();
        List<String> failures = new ArrayList<>();
        try (ExecutorService pool = Executors.newFixedThreadPool(processes)) {
            List<Future<ChildProcess.End>> ends = new ArrayList<>();
            for (int part = 0; part < processes; part++) {
                List<String> command = OwnJava.command(KernelCompilation.class.getName(),
                    List.of(architecture, String.valueOf(driverVersion), String.valueOf(part), String.valueOf(processes)));
                Callable<ChildProcess.End> child = () -> ChildProcess.run(command, MOST_SECONDS, line -> {
                }, () -> {
                });
                ends.add(pool.submit(child));
            }
            for (Future<ChildProcess.End> end : ends) {
                if (end.get().exit() != 0) {
                    failures.add(end.get().describe());
                }
            }
        } catch (ExecutionException e) {
            failures.add(String.valueOf(e.getCause().getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            failures.add("it was interrupted");
        }
        double seconds = (System.nanoTime() - start) * 1e-9;
        String message = String.join("; ", failures);
        json.put("kernels", KernelPrecompiler.count()).put("architecture", architecture).put("processes", processes)
            .put("seconds", seconds).put("passed", failures.isEmpty()).put("message", message);
        out.printf("== compile %s: %d kernels for %s in %d processes, %.1f s%n", failures.isEmpty() ? "passed" : "FAILED: " + message,
            KernelPrecompiler.count(), architecture, processes, seconds);
        return message;
    }

    /** A share of the kernels: architecture, CUDA version of the driver, number of the share, how many there are. */
    public static void main(String[] arguments) {
        KernelPrecompiler.compile(arguments[0], Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]),
            Integer.parseInt(arguments[3]));
    }
}

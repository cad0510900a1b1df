package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.run.Preparation;
import org.respec.kernels.Ops;
import org.respec.kernels.gpu.GpuOps;
import org.respec.kernels.gpu.KernelNeed;
import org.respec.kernels.gpu.KernelPrecompiler;

/**
 * Fills the cache of compiled kernels before anything is timed or waited for. NVRTC runs one compile at a time in a process, so each
 * processor gets a process of its own; they need no device.
 */
public final class KernelCompilation {
    private static final int MOST_PROCESSES = 32;
    private static final double MOST_SECONDS = 240;

    private KernelCompilation() {
    }

    /** Compiles kernels for a device; says why it could not, or returns an empty text. */
    static String run(KernelNeed need, GpuDevice device, ObjectNode json, PrintStream out) {
        return run(need, device.architecture(), device.driverVersion(),
            Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MOST_PROCESSES), json, out);
    }

    /**
     * Compiles what work is going to need of a GPU that the cache lacks. What does not compile is said, and is an error where it is used.
     *
     * @param json where what was compiled goes, as {@code compile}
     */
    public static void before(KernelNeed need, GpuDevice device, ObjectNode json, PrintStream out) {
        if (lacks(need, device)) {
            run(need, device, json.putObject("compile"), out);
        }
    }

    /** Whether the cache lacks kernels for a device; never of the emulator, which has a cache of its own. */
    static boolean lacks(KernelNeed need, GpuDevice device) {
        return !device.uuid().isEmpty() && new KernelPrecompiler(device.architecture(), device.driverVersion()).missing(need) > 0;
    }

    /**
     * Compiles what models are going to need of the device that {@code ops} computes on; nothing where that is no GPU. Else the first
     * steps would compile it one by one, and what is timed would have that in it.
     *
     * @param drafter null for none
     * @param decoding whether tokens are drawn and nothing is trained
     */
    public static void before(Ops ops, ModelConfig actor, DrafterConfig drafter, boolean decoding, PrintStream out) {
        if (ops instanceof GpuOps gpu) {
            Stream.of(actor.headDim(), drafter == null ? actor.headDim() : drafter.headDim()).distinct().forEach(headDim ->
                before(new KernelNeed(headDim, decoding), gpu.driver().device(), JsonNodeFactory.instance.objectNode(), out));
        }
    }

    /** The same for models that draw tokens. */
    public static void before(Ops ops, LoadedModel model, PrintStream out) {
        before(ops, model.actor().config(), model.drafter() == null ? null : model.drafter().config(), true, out);
    }

    /** What has the kernels of a run that trains compiled before it begins. */
    public static Preparation preparation(PrintStream out) {
        return (ops, actor, drafter) -> before(ops, actor, drafter, false, out);
    }

    static String run(KernelNeed need, String architecture, int driverVersion, int processes, ObjectNode json, PrintStream out) {
        int count = need.specs().size();
        long start = System.nanoTime();
        List<String> failures = new ArrayList<>();
        try (ExecutorService pool = Executors.newFixedThreadPool(processes)) {
            List<Future<ChildProcess.End>> ends = new ArrayList<>();
            for (int part = 0; part < processes; part++) {
                List<String> command = OwnJava.command(KernelCompilation.class.getName(),
                    List.of(String.valueOf(need.headDim()), String.valueOf(need.decoding()), architecture, String.valueOf(driverVersion),
                        String.valueOf(part), String.valueOf(processes)));
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
        json.put("kernels", count).put("architecture", architecture).put("processes", processes)
            .put("seconds", seconds).put("passed", failures.isEmpty()).put("message", message);
        out.printf(Locale.ROOT, "== compile %s: %d kernels for %s in %d processes, %.1f s%n",
            failures.isEmpty() ? "passed" : "FAILED: " + message, count, architecture, processes, seconds);
        return message;
    }

    /** A share of the kernels: the two parts of the need, architecture, CUDA version of the driver, number of the share, how many. */
    public static void main(String[] arguments) {
        KernelNeed need = new KernelNeed(Integer.parseInt(arguments[0]), Boolean.parseBoolean(arguments[1]));
        new KernelPrecompiler(arguments[2], Integer.parseInt(arguments[3])).compile(need, Integer.parseInt(arguments[4]),
            Integer.parseInt(arguments[5]));
    }
}

package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.respec.engine.run.Devices;
import org.respec.kernels.Ops;
import org.respec.kernels.gpu.GpuOps;

/** One stage at work: where it works, its deadline, and what it has found so far. */
final class StageRun {
    private static final int CPU_THREADS = 2;

    private final GpuCheck.Settings settings;
    private final List<String> prefixes;
    private final Path folder;
    private final ObjectNode json;
    private final PrintStream out;
    private final Runnable tell;
    private final long limitNanos;
    private final long start = System.nanoTime();
    private ModelFolders models;
    private int passed;
    private int failed;

    /** @param tell called after every outcome: {@link #json} holds it then */
    StageRun(GpuCheck.Settings settings, List<String> prefixes, Path folder, double limitSeconds, ObjectNode json, PrintStream out,
             Runnable tell) {
        this.settings = settings;
        this.prefixes = prefixes;
        this.folder = folder;
        this.json = json;
        this.out = out;
        this.tell = tell;
        this.limitNanos = (long) (limitSeconds * 1e9);
    }

    GpuCheck.Settings settings() {
        return settings;
    }

    /** An empty folder of this stage's own. */
    Path folder() {
        return folder;
    }

    /** Folders of the actor and the drafter to check with: where it is to be quick, tiny ones, which the first call writes. */
    ModelFolders models() {
        if (models == null) {
            models = new ModelFolders(settings.actor(), settings.drafter());
            if (settings.quick()) {
                models = TinyModel.write(folder, settings.actor());
            }
        }
        return models;
    }

    /** Where the stage writes what it measured. */
    ObjectNode json() {
        return json;
    }

    boolean wants(String item) {
        return prefixes.isEmpty() || prefixes.stream().anyMatch(item::startsWith);
    }

    /** The device, in a context of its own, so that a stage that kills it takes no other with it. */
    GpuOps open() {
        return (GpuOps) Devices.open(settings.device(), 0);
    }

    Ops openCpu() {
        return Devices.open("cpu", CPU_THREADS);
    }

    void say(String line) {
        out.println(line);
    }

    /** What is begun, so that it is known if the process dies in it. */
    void begin(String name) {
        json.put("running", name);
        tell.run();
    }

    /** An outcome: {@code message} is empty where it is good, and else says why not. */
    void item(String name, String found, String message) {
        passed += message.isEmpty() ? 1 : 0;
        failed += message.isEmpty() ? 0 : 1;
        out.printf(Locale.ROOT, "%-60s %-7s %s%s%n", name, message.isEmpty() ? "ok" : "FAILED", found,
            message.isEmpty() ? "" : ": " + message);
        json.remove("running");
        tell.run();
    }

    int passed() {
        return passed;
    }

    int failed() {
        return failed;
    }

    double seconds() {
        return (System.nanoTime() - start) * 1e-9;
    }

    /** To be called between pieces of work: ends the stage when its time is up. */
    void checkTime() {
        if (System.nanoTime() - start > limitNanos) {
            throw new OutOfTime(String.format(Locale.ROOT, "its time limit of %.0f s was reached after %d outcomes", limitNanos * 1e-9,
                passed + failed));
        }
    }

    /** A stage's time is up. */
    static final class OutOfTime extends RuntimeException {
        private static final long serialVersionUID = 1;

        OutOfTime(String message) {
            super(message);
        }
    }
}

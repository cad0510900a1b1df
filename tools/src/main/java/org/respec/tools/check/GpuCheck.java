package org.respec.tools.check;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuException;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.Devices;
import org.respec.kernels.OutOfDeviceMemory;
import org.respec.kernels.gpu.GpuOps;
import org.respec.kernels.gpu.KernelNeed;

/**
 * Checks a GPU against the CPU, stage by stage, from single operators to whole training runs. Every stage has a context of its own on
 * the device and a time limit, and <em>apart</em> a process of its own; one that fails stops no other.
 */
public final class GpuCheck {
    private static final List<CheckStage> STAGES = List.of(new OperatorStage(), new GenerateStage(), new GradientStage(), new TrainStage(),
        new ResumeStage(), new KernelStage(), new DecodeStage());
    /** What takes a GPU seconds takes the emulator minutes. */
    private static final double EMULATED_PATIENCE = 20;
    /** How long past its limit a stage may be in one piece of work before it counts as stuck, on a GPU and emulated. */
    private static final double GRACE_SECONDS = 30;
    private static final double EMULATED_GRACE_SECONDS = 120;
    /** What a process takes to start and to end, beside its stage. */
    private static final double PROCESS_SECONDS = 20;

    /**
     * What is checked.
     *
     * @param device {@code cuda} or {@code emulator}
     * @param quick tiny models and few cases: every stage's whole course in little time, even emulated
     * @param actor model folder
     * @param drafter its drafter's folder
     * @param quickstart config of the training stages
     * @param after the check of the operators behind which that stage begins; empty for all of them
     * @param patience factor on all time limits, for a device that a checker or a debugger slows down
     * @param compile whether kernels are compiled before the first stage, as the process that runs stages apart does for all of them
     */
    public record Settings(String device, boolean quick, Path actor, Path drafter, Path quickstart, String after, double patience,
                           boolean compile) {
    }

    /** Makes the command that runs one stage in another process. */
    public interface Apart {
        /**
         * @param only the stage, as {@code --only} takes it
         * @param json file that it writes to
         * @param after as in {@link Settings}
         */
        List<String> command(List<String> only, Path json, String after);
    }

    /** A stage, and beginnings of what it is to check: empty for everything. */
    private record Chosen(CheckStage stage, List<String> prefixes) {
        List<String> only() {
            return prefixes.isEmpty() ? List.of(stage.name()) : prefixes.stream().map(prefix -> stage.name() + ":" + prefix).toList();
        }
    }

    private final Settings settings;
    private final List<Chosen> chosen = new ArrayList<>();
    private final PrintStream out;
    private final ObjectNode root = new JsonMapper().createObjectNode();

    /**
     * @param only stages by name, each with a colon and the beginning of what it is to check, or without; empty for all of them
     * @throws BadInput if there is no such stage, or nothing in it begins so
     */
    public GpuCheck(Settings settings, List<String> only, PrintStream out) {
        this.settings = settings;
        this.out = out;
        for (CheckStage stage : STAGES) {
            List<String> prefixes = only.stream().filter(each -> stage(each).equals(stage.name()))
                .map(each -> each.substring(Math.min(each.length(), stage.name().length() + 1))).toList();
            if (only.isEmpty() || !prefixes.isEmpty()) {
                chosen.add(new Chosen(stage, prefixes.contains("") ? List.of() : prefixes));
            }
        }
        for (String each : only) {
            String name = stage(each);
            if (STAGES.stream().noneMatch(stage -> stage.name().equals(name))) {
                throw new BadInput("--only: there is no stage '" + name + "'; there are " + String.join(", ", names())
                    + ", and with a colon the beginning of what a stage is to check, like operators:rmsNorm.");
            }
        }
    }

    private static String stage(String only) {
        return only.indexOf(':') < 0 ? only : only.substring(0, only.indexOf(':'));
    }

    /** Names of all stages, in order. */
    public static List<String> names() {
        return STAGES.stream().map(CheckStage::name).toList();
    }

    /** Longest that all stages may take on a GPU, with a patience of 1. */
    static int mostSeconds() {
        return STAGES.stream().mapToInt(CheckStage::seconds).sum();
    }

    /** Everything that was found, at any time. */
    public ObjectNode json() {
        return root;
    }

    /**
     * Runs what was chosen.
     *
     * @param apart runs each stage in a process of its own; null to run them in this one
     * @param found run after every outcome and stage: {@link #json} then has what was found so far, and counts as not passed until the end
     * @param stuck told a sentence, on another thread, when a stage of this process is so far past its limit that it will not end
     * @return whether all of it passed
     */
    public boolean run(Apart apart, Runnable found, Consumer<String> stuck) {
        long start = System.nanoTime();
        GpuDevice of;
        try (GpuOps gpu = (GpuOps) Devices.open(settings.device(), 0)) {
            of = gpu.driver().device();
            out.println(gpu.device() + ", CUDA driver " + of.driverVersion());
            root.put("device", gpu.device()).put("driver", of.driverVersion()).put("emulated", of.uuid().isEmpty())
                .put("quick", settings.quick()).put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString())
                .put("passed", false);
        }
        boolean emulated = of.uuid().isEmpty();
        double patience = settings.patience() * (emulated ? EMULATED_PATIENCE : 1);
        double grace = settings.patience() * (emulated ? EMULATED_GRACE_SECONDS : GRACE_SECONDS);
        boolean good = true;
        // In processes of their own either way: what compiling takes is not for a stage's time limit.
        if (settings.compile() && !emulated && chosen.stream().anyMatch(each -> each.prefixes.isEmpty())
            && (apart != null || KernelCompilation.lacks(KernelNeed.ALL, of))) {
            good = KernelCompilation.run(KernelNeed.ALL, of, root.putObject("compile"), out).isEmpty();
            found.run();
        }
        ObjectNode stages = root.putObject("stages");
        ScheduledExecutorService watch = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("gpu-check watch").factory());
        try {
            for (Chosen each : chosen) {
                ObjectNode json = stages.putObject(each.stage.name());
                double limit = each.stage.seconds() * patience;
                if (apart != null) {
                    good &= runApart(each, limit + grace + PROCESS_SECONDS * settings.patience(), apart, json, found);
                } else {
                    var alarm = watch.schedule(() -> stuck.accept(each.stage.name() + ": it is stuck, " + (int) grace
                        + " s past its time limit."), (long) ((limit + grace) * 1000), TimeUnit.MILLISECONDS);
                    good &= runHere(each, limit, json, found);
                    alarm.cancel(false);
                }
                found.run();
            }
        } finally {
            watch.shutdownNow();
        }
        root.put("seconds", (System.nanoTime() - start) * 1e-9).put("passed", good);
        return good;
    }

    private boolean runApart(Chosen each, double mostSeconds, Apart apart, ObjectNode json, Runnable found) {
        Path folder = null;
        try {
            folder = Files.createTempDirectory("respec-check");
            StageProcess.run(each.stage.name(), (file, after) -> apart.command(each.only(), file, after), folder, mostSeconds, json, out,
                found);
        } catch (IOException e) {
            json.put("passed", false).put("message", "its process cannot be started (" + e.getMessage() + ")");
        } finally {
            delete(folder);
        }
        boolean good = json.path("passed").booleanValue();
        if (!good) {
            out.printf(Locale.ROOT, "== %s FAILED: %s%n", each.stage.name(), json.path("message").asText());
        }
        return good;
    }

    private boolean runHere(Chosen each, double limit, ObjectNode json, Runnable found) {
        String name = each.stage.name();
        out.printf(Locale.ROOT, "== %s (at most %.0f s)%n", name, limit);
        json.put("limit_seconds", limit);
        String message = "";
        Path folder = null;
        StageRun run = null;
        try {
            folder = Files.createTempDirectory("respec-check");
            run = new StageRun(settings, each.prefixes, folder, limit, json, out, found);
            each.stage.run(run);
            if (run.failed() > 0) {
                message = run.failed() + " of " + (run.failed() + run.passed()) + " failed";
            } else if (run.passed() == 0) {
                message = "nothing of it begins with '" + String.join("' or '", each.prefixes) + "'";
            }
        } catch (GpuException | OutOfDeviceMemory | IllegalStateException | IllegalArgumentException | ArithmeticException | BadInput
            | StageRun.OutOfTime e) {
            message = String.valueOf(e.getMessage());
        } catch (IOException e) {
            message = "a folder for it cannot be made (" + e.getMessage() + ")";
        } finally {
            delete(folder);
        }
        json.remove("running");
        json.put("passed", message.isEmpty()).put("message", message).put("outcomes_passed", run == null ? 0 : run.passed())
            .put("outcomes_failed", run == null ? 0 : run.failed()).put("seconds", run == null ? 0 : run.seconds());
        out.printf(Locale.ROOT, "== %s %s, %.1f s%n", name, message.isEmpty() ? "passed" : "FAILED: " + message,
            run == null ? 0 : run.seconds());
        return message.isEmpty();
    }

    private static void delete(Path folder) {
        if (folder == null) {
            return;
        }
        try {
            SafeFiles.deleteAll(folder);
        } catch (IOException e) {
            // What is left lies in the folder for temporary files, and says nothing about the device.
            return;
        }
    }
}

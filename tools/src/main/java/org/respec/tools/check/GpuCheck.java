package org.respec.tools.check;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuException;
import org.respec.engine.BadInput;
import org.respec.engine.run.Devices;
import org.respec.kernels.gpu.GpuOps;

/**
 * Checks a GPU against the CPU, stage by stage, from single operators to whole training runs. Every stage has a context of its own on
 * the device and a time limit; one that fails stops no other.
 */
public final class GpuCheck {
    private static final List<CheckStage> STAGES = List.of(new OperatorStage(), new GenerateStage(), new GradientStage(), new TrainStage(),
        new ResumeStage(), new KernelStage(), new DecodeStage());
    /** What takes a GPU seconds takes the emulator minutes. */
    private static final double EMULATED_PATIENCE = 20;
    /** How long past its limit a stage may be in one piece of work before it counts as stuck. */
    private static final double GRACE_SECONDS = 120;

    /**
     * What is checked.
     *
     * @param device {@code cuda} or {@code emulator}
     * @param quick tiny models and few cases: every stage's whole course in little time, even emulated
     * @param actor model folder
     * @param drafter its drafter's folder
     * @param quickstart config of the training stages
     */
    public record Settings(String device, boolean quick, Path actor, Path drafter, Path quickstart) {
    }

    /** A stage, and beginnings of what it is to check: empty for everything. */
    private record Chosen(CheckStage stage, List<String> prefixes) {
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

    /** Longest that all stages may take on a GPU. */
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
     * @param afterStage run after every stage: {@link #json} then has what was found so far, and counts as not passed until the end
     * @param stuck told a sentence, on another thread, when a stage is so far past its limit that it will not end
     * @return whether all of it passed
     */
    public boolean run(Runnable afterStage, Consumer<String> stuck) {
        long start = System.nanoTime();
        double patience;
        try (GpuOps gpu = (GpuOps) Devices.open(settings.device(), 0)) {
            GpuDevice of = gpu.driver().device();
            patience = of.uuid().isEmpty() ? EMULATED_PATIENCE : 1;
            out.println(gpu.device() + ", CUDA driver " + of.driverVersion());
            root.put("device", gpu.device()).put("driver", of.driverVersion()).put("emulated", of.uuid().isEmpty())
                .put("quick", settings.quick()).put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString())
                .put("passed", false);
        }
        ObjectNode stages = root.putObject("stages");
        boolean good = true;
        ScheduledExecutorService watch = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("gpu-check watch").factory());
        try {
            for (Chosen each : chosen) {
                good &= run(each, patience, stages.withObject("/" + each.stage.name()), watch, stuck);
                afterStage.run();
            }
        } finally {
            watch.shutdownNow();
        }
        root.put("seconds", (System.nanoTime() - start) * 1e-9).put("passed", good);
        return good;
    }

    private boolean run(Chosen each, double patience, ObjectNode json, ScheduledExecutorService watch,
                        Consumer<String> stuck) {
        String name = each.stage.name();
        double limit = each.stage.seconds() * patience;
        out.printf("== %s (at most %.0f s)%n", name, limit);
        json.put("limit_seconds", limit);
        var alarm = watch.schedule(() -> stuck.accept(name + ": it is stuck, " + (int) GRACE_SECONDS + " s past its time limit."),
            (long) ((limit + GRACE_SECONDS) * 1000), TimeUnit.MILLISECONDS);
        String message = "";
        Path folder = null;
        StageRun run = null;
        try {
            folder = Files.createTempDirectory("respec-check");
            run = new StageRun(settings, each.prefixes, folder, limit, json, out);
            each.stage.run(run);
            if (run.failed() > 0) {
                message = run.failed() + " of " + (run.failed() + run.passed()) + " failed";
            } else if (run.passed() == 0) {
                message = "nothing of it begins with '" + String.join("' or '", each.prefixes) + "'";
            }
        } catch (GpuException | IllegalStateException | IllegalArgumentException | BadInput | StageRun.OutOfTime e) {
            message = String.valueOf(e.getMessage());
        } catch (IOException e) {
            message = "a folder for it cannot be made (" + e.getMessage() + ")";
        } finally {
            alarm.cancel(false);
            delete(folder);
        }
        json.put("passed", message.isEmpty()).put("message", message).put("outcomes_passed", run == null ? 0 : run.passed())
            .put("outcomes_failed", run == null ? 0 : run.failed()).put("seconds", run == null ? 0 : run.seconds());
        out.printf("== %s %s, %.1f s%n", name, message.isEmpty() ? "passed" : "FAILED: " + message, run == null ? 0 : run.seconds());
        return message.isEmpty();
    }

    private static void delete(Path folder) {
        if (folder == null) {
            return;
        }
        try {
            Files.walkFileTree(folder, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.delete(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path path, IOException e) throws IOException {
                    Files.delete(path);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            // What is left lies in the folder for temporary files, and says nothing about the device.
            return;
        }
    }
}

package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuException;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.Devices;
import org.respec.kernels.Ops;
import org.respec.kernels.check.CheckResult;
import org.respec.kernels.check.CheckRunner;
import org.respec.kernels.check.OperatorCheck;
import org.respec.kernels.check.OperatorChecks;
import org.respec.kernels.gpu.GpuOps;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "gpu-check", description = "Checks every operator on a GPU against the CPU, then whole responses of the bundled model.",
    mixinStandardHelpOptions = true)
final class GpuCheckCommand implements Callable<Integer> {
    private static final List<String> DEVICES = List.of("cuda", "emulator");
    private static final int CPU_THREADS = 2;
    private static final int FAILED = 1;
    private static final String LINE = "%-60s %-7s %7.2f s";

    @Option(names = "--device", defaultValue = "cuda", description = "cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--only", paramLabel = "PREFIX", defaultValue = "",
        description = "Only checks whose names begin so, for instance rmsNorm or generate.")
    private String only;

    @Option(names = "--json", paramLabel = "FILE", description = "Writes the outcome as JSON.")
    private Path json;

    @Option(names = "--model", paramLabel = "DIR", description = "Actor that generates (default: the bundled one).")
    private Path model;

    @Option(names = "--drafter", paramLabel = "DIR", description = "Its drafter (default: the bundled one).")
    private Path drafter;

    private final ObjectNode root = new JsonMapper().createObjectNode();
    private int passed;
    private int failed;
    private int notRun;

    @Override
    public Integer call() {
        if (!DEVICES.contains(device)) {
            throw new BadInput("--device: '" + device + "' runs no CUDA kernels; use " + String.join(" or ", DEVICES) + ".");
        }
        List<OperatorCheck> checks = OperatorChecks.all().stream().filter(check -> check.name().startsWith(only)).toList();
        boolean generates = GenerateCheck.any(only);
        if (checks.isEmpty() && !generates) {
            throw new BadInput("--only: no check's name begins with '" + only + "'; without it all of them run, by name.");
        }
        if ((model == null) != (drafter == null)) {
            throw new BadInput("--model and --drafter: give both or none.");
        }
        if (json != null && !Files.isDirectory(json.toAbsolutePath().getParent())) {
            throw new BadInput("--json: the folder of " + json + " does not exist; make it.");
        }
        Path actorFolder = !generates ? null : model == null ? Bundled.actor() : model;
        Path drafterFolder = !generates ? null : drafter == null ? Bundled.drafter() : drafter;
        GpuOps gpu = (GpuOps) Devices.open(device, 0);
        try (Ops cpu = Devices.open("cpu", CPU_THREADS)) {
            describe(gpu);
            boolean alive = runChecks(cpu, gpu, checks);
            ArrayNode rows = root.putArray("generate");
            if (generates && alive) {
                generate(cpu, gpu, actorFolder, drafterFolder, rows);
            } else if (generates) {
                notRun++;
                System.out.println("generate: not run");
            }
        } finally {
            close(gpu);
        }
        boolean good = failed == 0 && notRun == 0;
        System.out.println(passed + " passed, " + failed + " failed, " + notRun + " not run");
        root.put("passed", good);
        if (json != null) {
            SafeFiles.write(json, (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return good ? 0 : FAILED;
    }

    private void describe(GpuOps gpu) {
        GpuDevice of = gpu.driver().device();
        System.out.println(gpu.device() + ", CUDA driver " + of.driverVersion());
        root.put("device", gpu.device()).put("driver", of.driverVersion())
            .put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    }

    /** Whether the device outlived them. */
    private boolean runChecks(Ops cpu, GpuOps gpu, List<OperatorCheck> checks) {
        ArrayNode rows = root.putArray("checks");
        CheckRunner runner = new CheckRunner(cpu, gpu, CheckRunner.SEED);
        for (OperatorCheck check : checks) {
            boolean alive = runner.death() == null;
            CheckResult result = runner.run(check);
            rows.addObject().put("name", result.name()).put("passed", result.passed()).put("seconds", result.seconds())
                .put("share_of_tolerance", result.shareOfTolerance()).put("message", result.message());
            switch (result.outcome()) {
                case PASSED -> {
                    passed++;
                    System.out.printf(LINE + " %6.1f %% of the tolerance%n", result.name(), "ok", result.seconds(),
                        100 * result.shareOfTolerance());
                }
                case FAILED -> {
                    failed++;
                    System.out.printf(LINE + " %6.1f %% of the tolerance: %s%n", result.name(), "FAILED", result.seconds(),
                        100 * result.shareOfTolerance(), result.message());
                }
                case NOT_RUN -> notRun++;
            }
            if (alive && runner.death() != null) {
                System.out.println("The device's context is dead, so that nothing more can be run in it: " + runner.death());
            }
        }
        return runner.death() == null;
    }

    private void generate(Ops cpu, GpuOps gpu, Path actorFolder, Path drafterFolder, ArrayNode rows) {
        // What takes a GPU a second takes the emulator minutes.
        boolean emulated = gpu.driver().device().uuid().isEmpty();
        GenerateCheck check = new GenerateCheck(cpu, gpu, actorFolder, drafterFolder, emulated ? 2 : 8, emulated ? 16 : 96);
        try {
            check.run(only, result -> {
                passed += result.passed() ? 1 : 0;
                failed += result.passed() ? 0 : 1;
                rows.addObject().put("temperature", result.temperature()).put("speculation", result.speculation())
                    .put("graphs", result.graphs())
                    .put("tokens", result.tokens()).put("equal", result.equal()).put("near_ties", result.nearTies())
                    .put("largest_log_prob_difference", result.largestDifference()).put("passed", result.passed())
                    .put("message", result.message());
                System.out.printf("%-60s %-7s %d of %d tokens equal, %d near ties, log-probabilities within %.1e%s%n",
                    result.name(), result.passed() ? "ok" : "FAILED", result.equal(),
                    result.tokens(), result.nearTies(), result.largestDifference(), result.passed() ? "" : ": " + result.message());
            });
        } catch (GpuException | IllegalStateException | IllegalArgumentException e) {
            failed++;
            System.out.println("generate FAILED: " + e.getMessage());
            root.put("generate_error", e.getMessage());
        }
    }

    /** A dead device refuses even this; that is said already. */
    private void close(GpuOps gpu) {
        try {
            gpu.close();
        } catch (GpuException e) {
            if (failed == 0) {
                throw e;
            }
        }
    }
}

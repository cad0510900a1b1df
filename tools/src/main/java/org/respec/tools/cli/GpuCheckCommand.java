package org.respec.tools.cli;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.tools.check.GpuCheck;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "gpu-check", mixinStandardHelpOptions = true,
    description = "Checks a GPU against the CPU, stage by stage: operators, generate, gradients, train, resume, kernels, decode.")
final class GpuCheckCommand implements Callable<Integer> {
    private static final List<String> DEVICES = List.of("cuda", "emulator");
    private static final int FAILED = 1;

    @Option(names = "--device", defaultValue = "cuda", description = "cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--only", paramLabel = "STAGE[:PREFIX]", split = ",",
        description = "Only these stages, and with a prefix only what in them begins so, for instance operators:rmsNorm,generate.")
    private List<String> only = new ArrayList<>();

    @Option(names = "--quick", description = "Tiny models and few cases: the whole course in little time, even emulated.")
    private boolean quick;

    @Option(names = "--json", paramLabel = "FILE", description = "Writes the outcome as JSON.")
    private Path json;

    @Option(names = "--model", paramLabel = "DIR", description = "Actor that generates and trains (default: the bundled one).")
    private Path model;

    @Option(names = "--drafter", paramLabel = "DIR", description = "Its drafter (default: the bundled one).")
    private Path drafter;

    @Override
    public Integer call() {
        if (!DEVICES.contains(device)) {
            throw new BadInput("--device: '" + device + "' runs no CUDA kernels; use " + String.join(" or ", DEVICES) + ".");
        }
        if ((model == null) != (drafter == null)) {
            throw new BadInput("--model and --drafter: give both or none.");
        }
        if (json != null && !Files.isDirectory(json.toAbsolutePath().getParent())) {
            throw new BadInput("--json: the folder of " + json + " does not exist; make it.");
        }
        GpuCheck check = new GpuCheck(new GpuCheck.Settings(device, quick, model == null ? Bundled.actor() : model,
            drafter == null ? Bundled.drafter() : drafter, Bundled.example("quickstart.yaml")), only, System.out);
        boolean good = check.run(() -> write(check), sentence -> {
            // Work on a device cannot be taken back: what was found is kept, and the process ends.
            System.out.println(sentence);
            check.json().put("passed", false).put("stuck", sentence);
            write(check);
            Runtime.getRuntime().halt(FAILED);
        });
        System.out.println(good ? "all passed" : "not all passed");
        write(check);
        return good ? 0 : FAILED;
    }

    private void write(GpuCheck check) {
        if (json != null) {
            SafeFiles.write(json, (check.json().toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }
}

package org.respec.tools.cli;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.tools.check.GpuCheck;
import org.respec.tools.check.OwnJava;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "gpu-check", mixinStandardHelpOptions = true,
    description = "Checks a GPU against the CPU, stage by stage: operators, generate, gradients, train, resume, kernels, decode.")
final class GpuCheckCommand implements Callable<Integer> {
    private static final List<String> DEVICES = List.of("cuda", "emulator");
    private static final int FAILED = 1;
    private static final int MOST_PATIENCE = 1000;

    @Option(names = "--device", defaultValue = "cuda", description = "cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--only", paramLabel = "STAGE[:PREFIX]", split = ",",
        description = "Only these stages, and with a prefix only what in them begins so, for instance operators:rmsNorm,generate.")
    private List<String> only;

    @Option(names = "--quick", description = "Tiny models and few cases: the whole course in little time, even emulated.")
    private boolean quick;

    @Option(names = "--here", description = "All stages in this process, as a checker of memory or a debugger needs it; else on cuda each"
        + " has a process of its own, so that an error takes no other stage with it.")
    private boolean here;

    @Option(names = "--patience", paramLabel = "FACTOR", defaultValue = "1",
        description = "Multiplies every time limit, for a device that a checker of memory or a debugger slows down"
            + " (default: ${DEFAULT-VALUE}).")
    private double patience;

    @Option(names = "--after", hidden = true, defaultValue = "",
        description = "The check of the operators behind which that stage begins: how it goes on after its process died.")
    private String after;

    @Option(names = "--compiled", hidden = true, description = "That all kernels were compiled, as far as they could be.")
    private boolean compiled;

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
        if (only != null && only.isEmpty()) {
            throw new BadInput("--only: it is empty; name at least one stage.");
        }
        if (!(patience > 0 && patience <= MOST_PATIENCE)) {
            throw new BadInput("--patience: " + patience + " must be above 0 and at most " + MOST_PATIENCE + ".");
        }
        requireFolder("--model", model);
        requireFolder("--drafter", drafter);
        OutputFile.require("--json", json);
        GpuCheck.Settings settings = new GpuCheck.Settings(device, quick, model == null ? Bundled.actor() : model,
            drafter == null ? Bundled.drafter() : drafter, Bundled.example("quickstart.yaml"), after, patience, !compiled);
        GpuCheck check = new GpuCheck(settings, only == null ? List.of() : only, System.out);
        boolean good = check.run(here || !device.equals("cuda") ? null : this::command, () -> write(check), sentence -> {
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

    private static void requireFolder(String option, Path folder) {
        if (folder != null && !SafeFiles.isFolder(folder)) {
            throw new BadInput(option + ": " + folder + " is no folder; name one with a config.json and weights.");
        }
    }

    /** This command again, for one stage. */
    private List<String> command(List<String> stage, Path file, String behind) {
        List<String> arguments = new ArrayList<>(List.of("gpu-check", "--here", "--compiled", "--device", device, "--json",
            file.toString()));
        stage.forEach(each -> arguments.addAll(List.of("--only", each)));
        if (quick) {
            arguments.add("--quick");
        }
        if (model != null) {
            arguments.addAll(List.of("--model", model.toString(), "--drafter", drafter.toString()));
        }
        if (patience != 1) {
            arguments.addAll(List.of("--patience", String.valueOf(patience)));
        }
        if (!behind.isEmpty()) {
            // Names have commas, and this option does not split.
            arguments.addAll(List.of("--after", behind));
        }
        return OwnJava.command(Main.class.getName(), arguments);
    }

    /** One stage's thread writes at a time; an alarm's may come between. */
    private synchronized void write(GpuCheck check) {
        if (json != null) {
            SafeFiles.write(json, (check.json().toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }
}

package org.respec.tools.cli;

import java.nio.file.InvalidPathException;
import org.respec.engine.BadInput;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The command line {@code respec}. */
@Command(name = "respec", description = "Adaptive speculative decoding inside reinforcement learning of language models.",
    mixinStandardHelpOptions = true, version = Main.VERSION,
    subcommands = {TrainCommand.class, ExportCommand.class, PretrainCommand.class, GenerateCommand.class, BenchCommand.class,
        DoctorCommand.class, GpuCheckCommand.class, PlanCommand.class, SimulateCommand.class, ReportCommand.class, BundleCommand.class,
        ExperimentCommand.class})
public final class Main implements Runnable {
    static final String VERSION = "respec 0.1.0";
    private static final int BAD_INPUT = 2;
    private static final int FAILURE = 1;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Override
    public void run() {
        spec.commandLine().usage(System.out);
    }

    /** Runs a command: 0 if it succeeded, 2 for bad input, 1 for any other failure. */
    public static int execute(String... arguments) {
        // A prompt may begin with @; it names no file of arguments.
        CommandLine line = new CommandLine(new Main()).setExpandAtFiles(false);
        nameVersion(line);
        line.setParameterExceptionHandler((e, args) -> {
            System.err.println("respec: " + e.getMessage().lines().findFirst().orElse("bad arguments")
                + (e.getMessage().endsWith(".") ? "" : "; see " + e.getCommandLine().getCommandSpec().qualifiedName() + " --help."));
            return BAD_INPUT;
        });
        line.setExecutionExceptionHandler((e, command, parsed) -> {
            if (e instanceof BadInput) {
                System.err.println("respec: " + e.getMessage());
                return BAD_INPUT;
            }
            if (e instanceof InvalidPathException path) {
                System.err.println("respec: '" + path.getInput() + "' cannot be a path here (" + path.getReason()
                    + "); name another, or run in a UTF-8 locale such as LC_ALL=C.UTF-8.");
                return BAD_INPUT;
            }
            e.printStackTrace();
            return FAILURE;
        });
        try {
            return line.execute(arguments);
        } catch (OutOfMemoryError e) {
            System.err.println("respec: this machine has too little memory for that (" + e.getMessage()
                + "); lower what is live at once, lengths or capacities, or take a smaller model.");
            return FAILURE;
        }
    }

    /** Every command answers --version. */
    private static void nameVersion(CommandLine line) {
        line.getCommandSpec().version(VERSION);
        line.getSubcommands().values().forEach(Main::nameVersion);
    }

    /** Runs a command and ends with its exit code. */
    public static void main(String[] arguments) {
        System.exit(execute(arguments));
    }
}

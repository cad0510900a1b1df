package org.respec.tools.cli;

import org.respec.engine.BadInput;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The command line {@code respec}. */
@Command(name = "respec", description = "Adaptive speculative decoding inside reinforcement learning of language models.",
    mixinStandardHelpOptions = true, version = "respec 0.1.0",
    subcommands = {TrainCommand.class, PretrainCommand.class, GenerateCommand.class, BenchCommand.class, DoctorCommand.class,
        GpuCheckCommand.class, PlanCommand.class, SimulateCommand.class, ReportCommand.class, BundleCommand.class,
        ExperimentCommand.class})
public final class Main implements Runnable {
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
        CommandLine line = new CommandLine(new Main());
        line.setParameterExceptionHandler((e, args) -> {
            System.err.println("respec: " + e.getMessage().lines().findFirst().orElse("bad arguments")
                + (e.getMessage().endsWith(".") ? "" : "; see respec " + e.getCommandLine().getCommandName() + " --help."));
            return BAD_INPUT;
        });
        line.setExecutionExceptionHandler((e, command, parsed) -> {
            if (e instanceof BadInput) {
                System.err.println("respec: " + e.getMessage());
                return BAD_INPUT;
            }
            e.printStackTrace();
            return FAILURE;
        });
        return line.execute(arguments);
    }

    /** Runs a command and ends with its exit code. */
    public static void main(String[] arguments) {
        System.exit(execute(arguments));
    }
}

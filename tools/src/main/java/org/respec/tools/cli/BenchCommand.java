package org.respec.tools.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;

@Command(name = "bench", description = "Measures.", mixinStandardHelpOptions = true,
    subcommands = {BenchRolloutCommand.class, BenchKernelsCommand.class, BenchDecodeCommand.class})
final class BenchCommand implements Runnable {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Override
    public void run() {
        spec.commandLine().usage(System.out);
    }
}

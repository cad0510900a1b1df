package org.respec.tools.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.tools.bundle.Bundle;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "bundle", description = "Makes one archive that unpacks and runs on bare Linux on x86-64, with a Java runtime in it.",
    mixinStandardHelpOptions = true)
final class BundleCommand implements Callable<Integer> {
    private static final int SHOWN = 100_000;

    @Option(names = "--output", paramLabel = "FILE", defaultValue = "respec-linux-x86_64.tar.gz",
        description = "Archive to write (default: ${DEFAULT-VALUE}).")
    private Path output;

    @Override
    public Integer call() {
        String home = System.getProperty("respec.home");
        if (home == null) {
            throw new BadInput("bundle: what it carries is known to tools/respec only; run that.");
        }
        OutputFile.require("--output", output);
        List<Path> classPath = Arrays.stream(System.getProperty("java.class.path").split(":")).map(Path::of).toList();
        Bundle.Report report = new Bundle(Path.of(home), classPath).write(output);
        System.out.printf(Locale.ROOT, "%-10s %12s %12s%n", "part", "MB", "MB packed");
        report.parts().forEach((name, part) -> {
            if (part.bytes() >= SHOWN) {
                System.out.printf(Locale.ROOT, "%-10s %12.1f %12.1f%n", name, part.bytes() * 1e-6, part.packed() * 1e-6);
            }
        });
        System.out.printf(Locale.ROOT, "%s: %.1f MB; tar xf it anywhere, and run respec/bin/respec%n", output, report.bytes() * 1e-6);
        return 0;
    }
}

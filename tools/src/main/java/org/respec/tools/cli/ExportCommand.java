package org.respec.tools.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.run.TrainedModels;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(name = "export", description = "Makes model folders of a run's checkpoint, also of one that did not come to its end.",
    mixinStandardHelpOptions = true)
final class ExportCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "RUN", description = "Run folder.")
    private Path run;

    @Option(names = "--output", required = true, paramLabel = "DIR",
        description = "Where the folders actor and, if one was taught, drafter go; new or empty.")
    private Path output;

    @Option(names = "--iteration", paramLabel = "N",
        description = "The checkpoint after so many iterations (default: the newest whole one).")
    private Integer iteration;

    @Override
    public Integer call() {
        requireEmpty();
        TrainedModels.export(run, iteration, output, sentence -> System.err.println("respec: " + sentence + "."))
            .forEach(folder -> System.out.println("written to " + folder));
        return 0;
    }

    private void requireEmpty() {
        if (!Files.exists(output)) {
            return;
        }
        if (!Files.isDirectory(output)) {
            throw new BadInput("--output: " + output + " is a file; name a new folder.");
        }
        try (Stream<Path> entries = Files.list(output)) {
            if (entries.findAny().isPresent()) {
                throw new BadInput("--output: " + output + " is not empty; name a new folder.");
            }
        } catch (IOException e) {
            throw new BadInput("--output: " + output + " cannot be read (" + Reason.of(e) + "); name a new folder.", e);
        }
    }
}

package org.respec.tools.cli;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.RunFolder;
import org.respec.tools.report.EventLog;
import org.respec.tools.report.Report;
import org.respec.tools.report.RunRecord;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(name = "report", description = "Makes one HTML page, which needs nothing else, of a run or of several side by side.",
    mixinStandardHelpOptions = true)
final class ReportCommand implements Callable<Integer> {
    private static final String PAGE = "report.html";

    @Parameters(arity = "1..*", paramLabel = "RUN", description = "Run folders; the first is the one that others are compared with.")
    private List<Path> folders;

    @Option(names = "--output", paramLabel = "FILE",
        description = "Where the page goes (default: report.html in the run folder, or here for several runs).")
    private Path output;

    @Option(names = "--json", description = "Prints the summary's numbers as JSON, and writes a page only if --output is there.")
    private boolean json;

    @Option(names = "--tensorboard", description = "Also brings the runs' TensorBoard files up to their metrics, or makes them.")
    private boolean tensorboard;

    @Override
    public Integer call() {
        Report report = new Report(RunRecord.read(folders));
        if (json) {
            System.out.println(report.toJson().toPrettyString());
        }
        if (output != null || !json) {
            Drawing.require("report");
            Path file = output != null ? output : folders.size() == 1 ? folders.getFirst().resolve(PAGE) : Path.of(PAGE);
            OutputFile.require("--output", file);
            SafeFiles.write(file, report.toHtml(Instant.now()).getBytes(StandardCharsets.UTF_8));
            if (!json) {
                System.out.println("written to " + file);
            }
        }
        if (tensorboard) {
            for (Path folder : folders) {
                // A run that is being written keeps its own file, and holds the folder.
                try (RunFolder held = RunFolder.open(folder, true); EventLog events = EventLog.open(held.path())) {
                    if (!json) {
                        System.out.println("written to " + events.file());
                    }
                }
            }
        }
        return 0;
    }
}

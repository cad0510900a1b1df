package org.respec.tools.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.TrainingRun;
import org.respec.tools.check.KernelCompilation;
import org.respec.tools.report.EventLog;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(name = "train",
    description = "Trains an actor by reinforcement learning, with speculative rollouts and a drafter that learns along.",
    mixinStandardHelpOptions = true)
final class TrainCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "CONFIG", description = "YAML file, for instance tools/examples/quickstart.yaml.")
    private Path config;

    @Parameters(index = "1..*", paramLabel = "KEY=VALUE", description = "Overrides, for instance run.seed=7 speculation.mode=off.")
    private List<String> overrides = new ArrayList<>();

    @Option(names = "--resume", description = "Goes on from the newest whole checkpoint in the run folder.")
    private boolean resume;

    @Override
    public Integer call() {
        RunConfig read = RunConfig.read(config, overrides);
        try (TrainingRun run = new TrainingRun(read, resume, KernelCompilation.preparation(System.out));
             EventLog events = EventLog.open(read.run().dir());
             RunDisplay display = new RunDisplay(System.out, "train")) {
            if (run.earlierRun() != null) {
                display.note(read.run().dir() + " held an earlier run, which is now " + run.earlierRun() + ".");
            }
            display.note("device: " + run.device());
            ObjectNode summary = run.run(new Watchers(List.of(events, display)));
            display.summary(summary, read.run().dir());
        }
        return 0;
    }

    private record Watchers(List<TrainingRun.Listener> all) implements TrainingRun.Listener {
        @Override
        public void started(int firstIteration, int iterations) {
            all.forEach(each -> each.started(firstIteration, iterations));
        }

        @Override
        public void iterated(ObjectNode metrics) {
            all.forEach(each -> each.iterated(metrics));
        }

        @Override
        public void note(String sentence) {
            all.forEach(each -> each.note(sentence));
        }

        @Override
        public void alarm(String sentence) {
            all.forEach(each -> each.alarm(sentence));
        }
    }
}

package org.respec.tools.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.tools.experiment.Experiment;
import org.respec.tools.experiment.Experiments;
import org.respec.tools.experiment.Lab;
import org.respec.tools.experiment.Outcome;
import org.respec.tools.experiment.OutcomeWriter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(name = "experiment", description = "Shows what each part of the engine does, against its absence: JSON, tables and plots.",
    mixinStandardHelpOptions = true)
final class ExperimentCommand implements Callable<Integer> {
    private static final String ALL = "all";

    /** Names for the help text. */
    static final class Names extends ArrayList<String> {
        private static final long serialVersionUID = 1;

        Names() {
            super(names());
            add(ALL);
        }
    }

    @Parameters(index = "0", paramLabel = "NAME", completionCandidates = Names.class, description = "One of ${COMPLETION-CANDIDATES}.")
    private String name;

    @Parameters(index = "1..*", paramLabel = "key=value", description = "Overrides of the configuration that every run of it starts from.")
    private List<String> overrides = List.of();

    @Option(names = "--quick", description = "Fewer and smaller runs, for a minute or two.")
    private boolean quick;

    @Option(names = "--output", paramLabel = "DIR", defaultValue = "experiments",
        description = "Folder for results (default: ${DEFAULT-VALUE}).")
    private Path output;

    @Option(names = "--seeds", defaultValue = "0", description = "How many seeds (default: 3, with --quick 2).")
    private int seeds;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu, cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--config", paramLabel = "FILE", description = "Configuration to start from (default: the bundled quickstart.yaml).")
    private Path config;

    @Override
    public Integer call() {
        Drawing.require("experiment");
        List<Experiment> chosen = Experiments.all().stream().filter(e -> name.equals(ALL) || name.equals(e.name())).toList();
        if (chosen.isEmpty()) {
            throw new BadInput("NAME: there is no experiment '" + name + "'; there are " + String.join(", ", names()) + ", and all.");
        }
        if (seeds < 0 || seeds > 1000) {
            throw new BadInput("--seeds: " + seeds + " must be 1 to 1000.");
        }
        int count = seeds > 0 ? seeds : quick ? 2 : 3;
        Lab lab = new Lab(config == null ? Bundled.example("quickstart.yaml") : config, overrides, output, device, count, quick,
            System.out::println);
        lab.check();
        OutcomeWriter writer = new OutcomeWriter(output, System.out);
        for (Experiment experiment : chosen) {
            System.out.println(experiment.name() + ": " + experiment.question());
            long start = System.nanoTime();
            Outcome outcome = experiment.run(lab);
            writer.write(experiment, lab, outcome, (System.nanoTime() - start) * 1e-9);
        }
        return 0;
    }

    private static List<String> names() {
        return Experiments.all().stream().map(Experiment::name).toList();
    }
}

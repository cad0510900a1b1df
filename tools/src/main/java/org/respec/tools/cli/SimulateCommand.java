package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.simulate.Simulation;
import org.respec.engine.simulate.SimulationReport;
import org.respec.engine.simulate.SimulationSettings;
import org.respec.engine.simulate.TraceFile;
import org.respec.engine.simulate.TraceGenerator;
import org.respec.engine.simulate.TraceRequest;
import org.respec.engine.speculation.Acceptance;
import org.respec.engine.speculation.PlanTable;
import org.respec.engine.speculation.ProfileFile;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "simulate", mixinStandardHelpOptions = true, description = "Replays requests in virtual time through the plan solver,"
    + " and says how it compares with off, with every single plan, and with the best plan of every step.")
final class SimulateCommand implements Callable<Integer> {
    /** Requests from a file or made up, one of the two. */
    static final class Requests {
        @Option(names = "--trace", paramLabel = "FILE",
            description = "JSON Lines, a request a line: tokens, and if wanted arrival, group, accept_per_depth.")
        private Path trace;

        @Option(names = "--generate", paramLabel = "N", description = "Makes up so many requests with a long tail.")
        private Integer generate;
    }

    @ArgGroup(multiplicity = "1")
    private Requests requests;

    @Option(names = "--profile", required = true, paramLabel = "FILE", description = "What plans cost: see respec plan.")
    private Path profile;

    @Option(names = "--truth", paramLabel = "FILE", description = "What steps really take, if not what the solver's profile says.")
    private Path truth;

    @Option(names = "--batch", defaultValue = "64", paramLabel = "N",
        description = "Most live requests of a worker (default: ${DEFAULT-VALUE}).")
    private int batch;

    @Option(names = "--workers", defaultValue = "1", paramLabel = "W", description = "Engines side by side (default: ${DEFAULT-VALUE}).")
    private int workers;

    @Option(names = "--rollout", paramLabel = "N",
        description = "Requests of a rollout, all of which end before the next begins (default: all are one rollout).")
    private Integer rollout;

    @Option(names = "--max-rows", paramLabel = "N",
        description = "Most rows of a verify pass (default: as the engine has it for the batch).")
    private Integer maxRows;

    @Option(names = "--margin", defaultValue = "0.02", description = "The solver's switching margin (default: ${DEFAULT-VALUE}).")
    private double margin;

    @Option(names = "--noise", defaultValue = "0.03",
        description = "Standard deviation of steps' times, as a share of them (default: ${DEFAULT-VALUE}).")
    private double noise;

    @Option(names = "--seed", defaultValue = "1", description = "Seed of requests, acceptance and noise (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--median", defaultValue = "400", description = "Made-up requests: median tokens (default: ${DEFAULT-VALUE}).")
    private double median;

    @Option(names = "--spread", defaultValue = "1",
        description = "Made-up requests: standard deviation of the logarithm of tokens (default: ${DEFAULT-VALUE}).")
    private double spread;

    @Option(names = "--longest", defaultValue = "8192", description = "Made-up requests: most tokens (default: ${DEFAULT-VALUE}).")
    private int longest;

    @Option(names = "--group-size", defaultValue = "8",
        description = "Made-up requests: responses to a prompt (default: ${DEFAULT-VALUE}).")
    private int groupSize;

    @Option(names = "--accept-spread", defaultValue = "0.4",
        description = "Made-up requests: standard deviation between groups of acceptance's log-odds (default: ${DEFAULT-VALUE}).")
    private double acceptSpread;

    @Option(names = "--save-trace", paramLabel = "FILE", description = "Writes the requests that were made up.")
    private Path saveTrace;

    @Option(names = "--json", paramLabel = "FILE", description = "Writes the result as JSON.")
    private Path json;

    @Override
    public Integer call() {
        check(batch >= 1 && batch <= 65536, "--batch", batch, "from 1 to 65536");
        check(workers >= 1 && workers <= 65536, "--workers", workers, "from 1 to 65536");
        check(rollout == null || rollout >= 1, "--rollout", rollout, "at least 1");
        check(maxRows == null || maxRows >= batch, "--max-rows", maxRows, "at least --batch");
        check(margin >= 0 && margin <= 10, "--margin", margin, "from 0 to 10");
        check(noise >= 0 && noise <= 1, "--noise", noise, "from 0 to 1");
        OutputFile.require("--json", json);
        OutputFile.require("--save-trace", saveTrace);
        PlanTable believed = ProfileFile.read(profile);
        PlanTable real = truth == null ? believed : ProfileFile.read(truth);
        Acceptance acceptance = acceptance(real, truth == null ? profile : truth);
        acceptance(believed, profile);
        believed.plans().stream().filter(plan -> !real.plans().contains(plan)).findFirst().ifPresent(plan -> {
            throw new BadInput(truth + ": it has no plan " + plan + ", which " + profile + " has; add it.");
        });
        List<TraceRequest> trace = requests.trace != null ? TraceFile.read(requests.trace) : made(acceptance);
        int rows = maxRows != null ? maxRows : new RolloutLimits(batch, 1, 1, 1, 0, 0).maxRows();
        SimulationReport report = new Simulation(believed.plans(), trace, acceptance, believed, real,
            new SimulationSettings(batch, workers, rollout == null ? 0 : rollout, rows, margin, noise, seed)).run();
        print(report, trace.size());
        if (json != null) {
            SafeFiles.write(json, (json(report, trace.size()).toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return 0;
    }

    private static Acceptance acceptance(PlanTable table, Path file) {
        if (table.acceptance() == null) {
            throw new BadInput(file + ": accept_per_depth is missing, without which cells do not say what a step takes; add it.");
        }
        return table.acceptance();
    }

    private List<TraceRequest> made(Acceptance base) {
        check(requests.generate >= 1 && requests.generate <= 1_000_000, "--generate", requests.generate, "from 1 to 1000000");
        check(median >= 1 && median <= TraceFile.MAX_TOKENS, "--median", median, "from 1 to " + TraceFile.MAX_TOKENS);
        check(spread >= 0 && spread <= 5, "--spread", spread, "from 0 to 5");
        check(longest >= 1 && longest <= TraceFile.MAX_TOKENS, "--longest", longest, "from 1 to " + TraceFile.MAX_TOKENS);
        check(groupSize >= 1 && groupSize <= 65536, "--group-size", groupSize, "from 1 to 65536");
        check(acceptSpread >= 0 && acceptSpread <= 5, "--accept-spread", acceptSpread, "from 0 to 5");
        List<TraceRequest> made = new TraceGenerator(requests.generate, median, spread, longest, groupSize, acceptSpread)
            .generate(seed, base);
        if (saveTrace != null) {
            TraceFile.write(saveTrace, made);
        }
        return made;
    }

    private static void check(boolean right, String option, Object value, String range) {
        if (!right) {
            throw new BadInput(option + ": " + value + " must be " + range + ".");
        }
    }

    private void print(SimulationReport report, int count) {
        System.out.printf(Locale.ROOT, "%d requests, %d tokens, %d worker%s of up to %d live requests, in virtual time%n", count,
            report.off().tokens(), workers, workers == 1 ? "" : "s", batch);
        System.out.printf(Locale.ROOT, "%-10s %12s %12s %13s %14s%n", "policy", "seconds", "tokens/s", "ratio to off", "accept length");
        List<SimulationReport.Line> lines = new ArrayList<>(report.statics());
        lines.sort(Comparator.comparingDouble(SimulationReport.Line::seconds));
        lines.addFirst(report.adaptive());
        lines.add(report.hindsight());
        for (SimulationReport.Line line : lines) {
            System.out.printf(Locale.ROOT, "%-10s %12.3f %12.0f %13.3f %14.2f%n", line.policy(), line.seconds(), line.tokensPerSecond(),
                report.off().seconds() / line.seconds(), line.acceptLength());
        }
        System.out.printf(Locale.ROOT, "adaptive is %.3f times as fast as the best single plan, %s%n",
            report.bestStatic().seconds() / report.adaptive().seconds(), report.bestStatic().policy());
        System.out.printf(Locale.ROOT, "regret against the best plan of every step: %.2f %% of time, %.2f %% of all workers' busy time%n",
            100 * report.regret(), 100 * report.busyRegret());
    }

    private ObjectNode json(SimulationReport report, int count) {
        ObjectNode root = new JsonMapper().createObjectNode();
        root.put("requests", count).put("tokens", report.off().tokens()).put("workers", workers).put("batch", batch).put("seed", seed);
        root.put("rollout", rollout == null ? count : rollout);
        root.put("regret_percent", 100 * report.regret()).put("busy_regret_percent", 100 * report.busyRegret());
        root.put("best_static", report.bestStatic().policy());
        ArrayNode policies = root.putArray("policies");
        List<SimulationReport.Line> lines = new ArrayList<>(report.statics());
        lines.addFirst(report.adaptive());
        lines.add(report.hindsight());
        for (SimulationReport.Line line : lines) {
            ObjectNode each = policies.addObject().put("policy", line.policy()).put("seconds", line.seconds())
                .put("busy_seconds", line.busySeconds()).put("tokens_per_second", line.tokensPerSecond())
                .put("ratio_to_off", report.off().seconds() / line.seconds()).put("accept_length", line.acceptLength())
                .put("step_loss_percent", 100 * line.stepLoss());
            ObjectNode plans = each.putObject("plans");
            line.plans().forEach(plans::put);
        }
        return root;
    }
}

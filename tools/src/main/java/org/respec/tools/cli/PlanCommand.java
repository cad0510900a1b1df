package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.speculation.PlanTable;
import org.respec.engine.speculation.ProfileFile;
import org.respec.engine.speculation.SpeculationPlan;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "plan", description = "Says which plan a profile speaks for at a batch, and what every other is expected to reach.",
    mixinStandardHelpOptions = true)
final class PlanCommand implements Callable<Integer> {
    @Option(names = "--profile", required = true, paramLabel = "FILE",
        description = "JSON: cells (batch, plan, tokens_per_second), or cost_ms (batch, plan, draft, verify) and accept_per_depth.")
    private Path profile;

    @Option(names = "--batch", required = true, paramLabel = "N", description = "Live requests.")
    private int batch;

    @Option(names = "--utilization", paramLabel = "U", defaultValue = "0",
        description = "Share of the device that others use, 0 to 1 (default: ${DEFAULT-VALUE}).")
    private double utilization;

    @Option(names = "--json", description = "Prints JSON.")
    private boolean json;

    @Override
    public Integer call() {
        if (batch < 1 || batch > ProfileFile.MAX_BATCH) {
            throw new BadInput("--batch: " + batch + " must be from 1 to " + ProfileFile.MAX_BATCH + ".");
        }
        if (!(utilization >= 0 && utilization <= 1)) {
            throw new BadInput("--utilization: " + utilization + " must be from 0 to 1.");
        }
        PlanTable table = ProfileFile.read(profile);
        SpeculationPlan best = table.best(batch, utilization);
        Map<SpeculationPlan, Double> scores = table.scores(batch, utilization);
        if (json) {
            ObjectNode root = new JsonMapper().createObjectNode();
            root.put("plan", best.toString());
            ObjectNode each = root.putObject("scores");
            scores.forEach((plan, score) -> each.put(plan.toString(), score));
            System.out.println(root);
            return 0;
        }
        System.out.printf(Locale.ROOT, "%-10s %12s %13s%n", "plan", "tokens/s", "ratio to off");
        double off = scores.get(SpeculationPlan.OFF);
        scores.forEach((plan, score) -> System.out.printf(Locale.ROOT, "%-10s %12.1f %13.3f%s%n", plan, score, score / off,
            plan.equals(best) ? "  <- chosen" : ""));
        return 0;
    }
}

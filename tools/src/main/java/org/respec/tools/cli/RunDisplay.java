package org.respec.tools.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.Console;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.respec.engine.run.TrainingRun;

/** What a person sees of a run: a progress bar on a terminal, a line per iteration elsewhere, and a table at the end. */
final class RunDisplay implements TrainingRun.Listener, AutoCloseable {
    private static final int MOST_PLANS = 5;

    private final PrintStream out;
    private final String name;
    private final boolean terminal;
    private ProgressBar bar;
    private int iterations;

    RunDisplay(PrintStream out, String name) {
        this.out = out;
        this.name = name;
        Console console = System.console();
        this.terminal = console != null && console.isTerminal();
    }

    @Override
    public void note(String line) {
        out.println(line);
    }

    @Override
    public void alarm(String sentence) {
        System.err.println("respec: " + sentence);
    }

    @Override
    public void started(int firstIteration, int total) {
        iterations = total;
        if (terminal) {
            bar = new ProgressBarBuilder().setTaskName(name).setInitialMax(total).startsFrom(firstIteration, java.time.Duration.ZERO)
                .setStyle(ProgressBarStyle.ASCII).setUpdateIntervalMillis(200).build();
        }
    }

    @Override
    public void iterated(ObjectNode m) {
        String message = String.format(Locale.ROOT, "reward %.3f  accept %.2f  plan %s  %.0f tok/s", m.path("reward").asDouble(),
            m.path("accept_length").asDouble(), m.path("plan").asText(), m.path("tokens_per_second").asDouble());
        if (bar != null) {
            bar.setExtraMessage(message);
            bar.stepTo(m.path("iteration").asInt());
        } else {
            out.printf(Locale.ROOT, "%s %d/%d  %s%n", name, m.path("iteration").asInt(), iterations, message);
        }
    }

    void summary(ObjectNode summary, Path folder) {
        close();
        JsonNode rollout = summary.path("rollout");
        JsonNode seconds = summary.path("seconds");
        out.println();
        row("accuracy on " + summary.at("/eval/problems").asInt() + " held-out problems",
            String.format(Locale.ROOT, "%.1f %% before, %.1f %% after",
                100 * summary.at("/eval/accuracy_before").asDouble(), 100 * summary.at("/eval/accuracy_after").asDouble()));
        row("reward", String.format(Locale.ROOT, "%.3f first, %.3f last iteration", summary.at("/reward/first").asDouble(),
            summary.at("/reward/last").asDouble()));
        row("accept length", String.format(Locale.ROOT, "%.2f first, %.2f last, %.2f mean", rollout.at("/accept_length/first").asDouble(),
            rollout.at("/accept_length/last").asDouble(), rollout.at("/accept_length/mean").asDouble()));
        row("rollout", String.format(Locale.ROOT, "%d tokens in %.1f s, %.0f tokens/s", rollout.path("tokens").asLong(),
            rollout.path("seconds").asDouble(), rollout.path("tokens_per_second").asDouble()));
        times(seconds);
        row("plans, steps of each", plans(summary.path("plans")));
        JsonNode comparison = summary.path("comparison");
        if (comparison.isObject()) {
            row("speed against speculation off", String.format(Locale.ROOT, "%.2f x (%.0f against %.0f tokens/s, by turns, %d requests)",
                comparison.path("ratio_to_off").asDouble(), comparison.path("tokens_per_second").asDouble(),
                comparison.path("tokens_per_second_off").asDouble(), comparison.path("requests").asInt()));
        }
        for (String model : List.of("actor", "drafter")) {
            if (summary.path(model).has("folder")) {
                row("trained " + model, folder.resolve(summary.path(model).path("folder").textValue()).toString());
            }
        }
        row("written to", folder.toString());
        out.println();
        out.println("  A page with plots: tools/respec report " + folder);
    }

    /** Time by stage; of an overlapped drafter update only what the run had to wait for. */
    private void times(JsonNode seconds) {
        double total = seconds.path("total").asDouble();
        double rollout = seconds.path("rollout").asDouble();
        double actor = seconds.path("actor").asDouble();
        double drafter = seconds.path("drafter").asDouble();
        double exposed = seconds.path("drafter_exposed").asDouble(drafter);
        row("time", String.format(Locale.ROOT, "%.1f s", total));
        stage("rollout", rollout, total, "");
        stage("actor update", actor, total, "");
        stage("drafter update", exposed, total, exposed < drafter
            ? String.format(Locale.ROOT, "  (of %.1f s, the rest behind other work)", drafter) : "");
        stage("evaluation and files", Math.max(0, total - rollout - actor - exposed), total, "");
    }

    private void stage(String what, double seconds, double total, String more) {
        row("  " + what, String.format(Locale.ROOT, "%8.1f s  %5.1f %%%s", seconds, total == 0 ? 0 : 100 * seconds / total, more));
    }

    /** The plans most used, with their share of the steps. */
    private static String plans(JsonNode counts) {
        long all = Math.max(1, StreamSupport.stream(counts.spliterator(), false).mapToLong(JsonNode::asLong).sum());
        List<Map.Entry<String, JsonNode>> most = counts.properties().stream()
            .sorted((a, b) -> Long.compare(b.getValue().asLong(), a.getValue().asLong())).toList();
        String words = most.stream().limit(MOST_PLANS)
            .map(e -> String.format(Locale.ROOT, "%s %.0f %%", e.getKey(), 100.0 * e.getValue().asLong() / all))
            .collect(Collectors.joining(", "));
        return most.size() > MOST_PLANS ? words + ", " + (most.size() - MOST_PLANS) + " more" : words;
    }

    private void row(String what, String value) {
        out.printf(Locale.ROOT, "  %-36s %s%n", what, value);
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
    }
}

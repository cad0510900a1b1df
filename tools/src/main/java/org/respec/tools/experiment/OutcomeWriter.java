package org.respec.tools.experiment;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.tools.report.PlotWriter;

/** Puts an outcome on the terminal and into a folder: {@code NAME.json}, the same tables as text in {@code NAME.txt}, and PNG plots. */
public final class OutcomeWriter {
    private static final int WIDTH = 760;
    private static final int HEIGHT = 440;
    private static final JsonMapper JSON = new JsonMapper();

    private final Path folder;
    private final PrintStream out;

    /**
     * @param folder made where it is missing
     * @param out where tables and claims are printed
     * @throws BadInput if nothing can be written there
     */
    public OutcomeWriter(Path folder, PrintStream out) {
        this.folder = folder;
        this.out = out;
        try {
            Files.createDirectories(folder);
            SafeFiles.tryFolder(folder);
        } catch (IOException e) {
            throw new BadInput(folder + ": nothing can be written there (" + Reason.of(e) + "); choose another --output.", e);
        }
    }

    /** Writes everything; {@code seconds} is what the experiment took. */
    public void write(Experiment experiment, Lab lab, Outcome outcome, double seconds) {
        ObjectNode root = JSON.createObjectNode();
        root.put("experiment", experiment.name()).put("question", experiment.question()).put("device", lab.deviceInWords())
            .put("quick", lab.quick()).put("seeds", lab.seeds()).put("seconds", seconds);
        ArrayNode findings = root.putArray("findings");
        outcome.claims().forEach(claim -> findings.add(JSON.valueToTree(claim)));
        ObjectNode tables = root.putObject("tables");
        outcome.tables().forEach(table -> add(tables.putArray(table.name()), table));
        String tablesFile = experiment.name() + ".txt";
        root.put("text", tablesFile);
        ArrayNode plots = root.putArray("plots");
        outcome.charts().forEach(chart -> plots.add(chart.file() + ".png"));
        SafeFiles.write(folder.resolve(experiment.name() + ".json"), (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        for (Outcome.Chart chart : outcome.charts()) {
            SafeFiles.write(folder.resolve(chart.file() + ".png"), PlotWriter.png(chart.plot(), WIDTH, HEIGHT));
        }
        String text = text(outcome);
        SafeFiles.write(folder.resolve(tablesFile), (experiment.name() + ": " + experiment.question() + "\n" + text)
            .getBytes(StandardCharsets.UTF_8));
        out.print(text);
        out.printf(Locale.ROOT, "%s took %.0f s; wrote %s, %s and %d plots to %s%n", experiment.name(), seconds,
            experiment.name() + ".json", tablesFile, outcome.charts().size(), folder);
    }

    /** Tables, then claims. */
    private static String text(Outcome outcome) {
        StringBuilder text = new StringBuilder();
        outcome.tables().forEach(table -> text.append('\n').append(table.text().stripTrailing()).append('\n'));
        text.append('\n');
        outcome.claims().forEach(claim -> text.append(claim.sentence()).append('\n'));
        return text.toString();
    }

    private static void add(ArrayNode array, Table table) {
        for (List<Object> row : table.rows()) {
            ObjectNode node = array.addObject();
            for (int c = 0; c < row.size(); c++) {
                node.set(table.columns().get(c), JSON.valueToTree(row.get(c)));
            }
        }
    }
}

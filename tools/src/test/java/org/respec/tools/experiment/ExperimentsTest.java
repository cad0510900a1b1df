package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;
import org.respec.tools.bench.DecodeShape;
import org.respec.tools.report.Axis;
import org.respec.tools.report.Plot;
import org.respec.tools.report.PlotWriter;
import org.respec.tools.report.Series;

/** Experiments on the bundled model at sizes that say nothing about speed. */
class ExperimentsTest {
    private static final Path CONFIG = Path.of("examples", "quickstart.yaml");
    private static final List<String> TINY = List.of("train.group_size=2", "train.mini_batches=1", "train.micro_batch_tokens=512",
        "rollout.max_tokens=24", "distill.steps_per_update=1", "distill.batch_tokens=256", "distill.capacity_tokens=1024", "run.threads=2");

    @TempDir
    private Path folder;

    private Lab lab(int seeds, String... overrides) {
        List<String> all = Stream.concat(TINY.stream(), Stream.of(overrides)).toList();
        return new Lab(CONFIG, all, folder, "cpu", seeds, true, line -> { });
    }

    @Test
    void namesAreKnownOnce() {
        List<String> names = Experiments.all().stream().map(Experiment::name).toList();
        assertEquals(names.size(), names.stream().distinct().count());
        assertTrue(names.containsAll(List.of("gap1", "gap2", "gap3", "coupling", "ablation", "load")), names.toString());
    }

    @Test
    void gapThreeProvesThatTrajectoriesAreTheSame() throws IOException {
        Lab lab = lab(1, "train.iterations=2", "train.prompts_per_iteration=3");
        Experiment experiment = new GapThree();
        Outcome outcome = experiment.run(lab);
        assertEquals(List.of(true), outcome.claims().stream().map(Claim::holds).toList(), outcome.claims().toString());
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        new OutcomeWriter(folder, new PrintStream(out, true, StandardCharsets.UTF_8)).write(experiment, lab, outcome, 1);
        JsonNode json = new JsonMapper().readTree(folder.resolve("gap3.json").toFile());
        JsonNode runs = json.at("/tables/runs");
        assertEquals(3, runs.size(), "off and two weightings");
        for (JsonNode run : runs) {
            assertTrue(run.path("as_without").booleanValue());
            assertEquals(64, run.path("trajectories_sha256").textValue().length());
            assertEquals(runs.get(0).path("actor_weights_sha256"), run.path("actor_weights_sha256"));
        }
        for (JsonNode band : json.at("/tables/bands")) {
            assertTrue(band.at("/accept_length/median").doubleValue() >= 1, band.toString());
        }
        assertTrue(json.at("/tables/bands").size() >= 2);
        assertEquals(1, json.at("/findings/0/value").doubleValue());
        for (JsonNode plot : json.path("plots")) {
            assertEquals(1520, ImageIO.read(folder.resolve(plot.textValue()).toFile()).getWidth());
        }
        String printed = out.toString(StandardCharsets.UTF_8);
        assertTrue(printed.contains("as_without") && printed.contains("holds"), printed);
        assertTrue(printed.contains("wrote gap3.json, gap3.txt and 2 plots to " + folder), printed);
        String text = Files.readString(folder.resolve(json.path("text").textValue()));
        assertTrue(text.startsWith("gap3: " + experiment.question() + "\n"), text);
        for (Table table : outcome.tables()) {
            assertTrue(text.contains(table.text().stripTrailing()) && printed.contains(table.text().stripTrailing()), text);
        }
        assertTrue(text.endsWith(outcome.claims().getLast().sentence() + "\n"), text);
        assertTrue(Files.exists(folder.resolve("gap3-runs/on-reward-seed1/metrics.jsonl")), "runs are left for the report");
        assertFalse(Files.exists(folder.resolve("gap3-runs/on-reward-seed1/checkpoints")));
    }

    private JsonNode written(Experiment experiment, Lab lab) throws IOException {
        Outcome outcome = experiment.run(lab);
        PrintStream out = new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
        new OutcomeWriter(folder, out).write(experiment, lab, outcome, 1);
        JsonNode json = new JsonMapper().readTree(folder.resolve(experiment.name() + ".json").toFile());
        assertTrue(json.path("device").textValue().endsWith(", f32"), json.path("device").textValue());
        for (JsonNode plot : json.path("plots")) {
            assertEquals(1520, ImageIO.read(folder.resolve(plot.textValue()).toFile()).getWidth());
        }
        assertTrue(Files.readString(folder.resolve(json.path("text").textValue())).contains(outcome.claims().getLast().sentence()));
        return json;
    }

    /** One seed and one round, of which the duels make two. */
    @Test
    void gapOneComparesEveryPlanAtEveryBatchAndOverWholeRollouts() throws IOException {
        GapOne.Rounds once = new GapOne.Rounds(1, 1, 0);
        JsonNode json = written(new GapOne(new GapOne.Extent(List.of(2), List.of("off", "1x1x1", "3x1x3"), 4, 6,
            folder.resolve("costs"), once, once, DecodeShape.TINY, 30, 1)), lab(1));
        List<String> places = List.of("2", "whole rollout", "whole rollout, tiny");
        for (String place : places) {
            List<JsonNode> rows = rows(json.at("/tables/batches"), place);
            List<String> plans = rows.stream().map(row -> row.path("plan").textValue()).toList();
            assertEquals(place.endsWith("tiny") ? List.of("off", "1x1x1", "2x1x2", "3x1x3", "4x1x4", "6x1x6", "adaptive")
                : List.of("off", "1x1x1", "3x1x3", "adaptive"), plans);
            for (JsonNode row : rows) {
                boolean off = row.path("plan").textValue().equals("off");
                boolean fixed = !off && !row.path("plan").textValue().equals("adaptive");
                assertTrue(row.at("/tokens_per_second/median").doubleValue() > 0, row.toString());
                assertTrue(!off || row.at("/speedup/median").doubleValue() == 1, row.toString());
                assertTrue(!off || row.at("/accept_length/median").doubleValue() == 1, row.toString());
                assertTrue(!fixed || row.at("/accept_length/median").doubleValue() > 1.3, row.toString());
                assertTrue(fixed ? row.at("/speculated/median").doubleValue() > 0.9 : !off || row.at("/speculated/max").doubleValue() == 0,
                    row.toString());
            }
            List<JsonNode> duels = rows(json.at("/tables/adaptive"), place);
            assertEquals(1, duels.size());
            JsonNode duel = duels.getFirst();
            assertEquals(2, duel.at("/ratio/n").intValue(), "a round that names the rival and one to compare");
            for (String rival : duel.path("best_static").textValue().split(", ")) {
                assertTrue(plans.contains(rival) && !rival.equals("adaptive"), rival);
            }
            JsonNode finding = json.path("findings").get(places.indexOf(place));
            assertEquals(duel.at("/ratio/median"), finding.path("value"), finding.toString());
            assertEquals(places.indexOf(place) == 0 ? 0.98 : 1, finding.path("bar").doubleValue(), finding.toString());
            assertEquals(finding.path("value").doubleValue() >= finding.path("bar").doubleValue(), finding.path("holds").booleanValue());
        }
        assertEquals(places.size(), json.path("findings").size());
        assertEquals(List.of("bundled", "tiny"), json.at("/tables/lengths").findValuesAsText("model"));
        for (JsonNode lengths : json.at("/tables/lengths")) {
            assertEquals(2, lengths.path("requests").intValue(), lengths.toString());
            assertTrue(lengths.path("longest").intValue() <= 30 && lengths.path("median").intValue() >= 1, lengths.toString());
        }
    }

    private static List<JsonNode> rows(JsonNode table, String batch) {
        return table.valueStream().filter(row -> row.path("batch").textValue().equals(batch)).toList();
    }

    @Test
    void ablationAddsOnePartAfterAnother() throws IOException {
        JsonNode json = written(new Ablation(), lab(1, "train.iterations=2", "train.prompts_per_iteration=2"));
        JsonNode steps = json.at("/tables/steps");
        assertEquals(List.of("none", "+drafter", "+online", "+reward weight", "+adaptive", "+overlap"), steps.findValuesAsText("variant"));
        assertEquals(1, steps.get(0).at("/speedup/median").doubleValue());
        assertEquals(1, steps.get(0).at("/accept_length/median").doubleValue());
        JsonNode none = new JsonMapper().readTree(folder.resolve("ablation-runs/none-seed1/summary.json").toFile());
        for (JsonNode step : steps) {
            String variant = step.path("variant").textValue();
            JsonNode summary = new JsonMapper().readTree(folder.resolve("ablation-runs/" + variant + "-seed1/summary.json").toFile());
            assertEquals(none.at("/rollout/trajectory_sha256"), summary.at("/rollout/trajectory_sha256"), variant);
            assertEquals(steps.get(0).at("/iteration_seconds/median").doubleValue() / step.at("/iteration_seconds/median").doubleValue(),
                step.at("/speedup/median").doubleValue(), 1e-12, variant);
            assertTrue(step.at("/rollout_tokens_per_second/median").doubleValue() > step.at("/tokens_per_second/median").doubleValue(),
                "an iteration is more than its rollout: " + step);
            boolean learnt = summary.at("/drafter/version").intValue() > 0;
            assertEquals(!variant.equals("none") && !variant.equals("+drafter"), learnt, variant);
            assertTrue(variant.equals("none") || variant.startsWith("+a") || variant.startsWith("+ov")
                || step.at("/accept_length/median").doubleValue() > 1.3, step.toString());
        }
        assertEquals(steps.get(5).at("/speedup/median"), json.at("/findings/0/value"));
    }

    @Test
    void runsWithoutIterationsAreRefused() {
        for (Experiment experiment : List.of(new GapTwo(), new GapThree(), new Ablation())) {
            BadInput e = assertThrows(BadInput.class, () -> experiment.run(lab(1, "train.iterations=0")), experiment.name());
            assertTrue(e.getMessage().startsWith("train.iterations: 0 ") && e.getMessage().contains(experiment.name()), e.getMessage());
        }
    }

    /** What training computes in, experiments do. */
    @Test
    void theTypeIsThatOfTheConfiguration() throws IOException {
        for (Experiment experiment : List.of(new GapOne(), new Coupling(), new Load())) {
            BadInput e = assertThrows(BadInput.class, () -> experiment.run(lab(1, "run.dtype=bf16")), experiment.name());
            assertTrue(e.getMessage().startsWith("run.dtype: ") && e.getMessage().contains("bf16"), e.getMessage());
        }
        assertThrows(BadInput.class, () -> lab(1, "run.dtype=bf16").check());
        Path actorAlone = folder.resolve("actor.yaml");
        Files.writeString(actorAlone, "model: {actor: "
            + Path.of("models", "arithmetic", "actor").toAbsolutePath() + "}\n");
        BadInput e = assertThrows(BadInput.class,
            () -> new GapOne().run(new Lab(actorAlone, List.of(), folder, "cpu", 1, true, line -> { })));
        assertTrue(e.getMessage().startsWith("model.drafter: "), e.getMessage());
    }

    /** Bands in which nobody speculated, and loads that no quiet machine saw. */
    @Test
    void plotsOfNothingAreDrawn() throws IOException {
        Plot lines = new Plot.Lines("t", Axis.linear("x"), Axis.fromZero("y"), List.of());
        Plot bars = new Plot.Bars("t", "", Axis.fromZero("y"), List.of(),
            List.of(new Plot.Layer("a", new double[0], new double[0])));
        Plot gaps = new Plot.Bars("t", "", Axis.fromZero("y"), List.of("p"),
            List.of(new Plot.Layer("a", new double[] {Double.NaN}, new double[] {Double.NaN})));
        for (Plot plot : List.of(lines, bars, gaps)) {
            assertEquals(200, ImageIO.read(new ByteArrayInputStream(PlotWriter.png(plot, 100, 80))).getWidth(), plot.toString());
        }
    }

    /** Whether and when the depth moves depends on the machine; that every load is there with what was chosen around it does not. */
    @Test
    void loadsAreRecordedOneByOne() throws IOException {
        Lab lab = lab(1);
        Experiment experiment = new Load(DecodeShape.TINY, 40, 24);
        JsonNode json = written(experiment, lab);
        assertEquals(4, json.path("findings").size());
        JsonNode loads = json.at("/tables/loads");
        assertEquals(10, loads.size(), "five with a probe and five without");
        for (JsonNode load : loads) {
            for (String depth : List.of("before", "during", "after")) {
                assertTrue(load.path(depth).doubleValue() >= 0 && load.path(depth).doubleValue() <= 6, load.toString());
            }
            assertTrue(load.path("others_before").doubleValue() >= 0 && load.path("others_before").doubleValue() <= 1, load.toString());
            assertTrue(load.path("others_during").doubleValue() >= 0 && load.path("others_during").doubleValue() <= 1, load.toString());
        }
        for (JsonNode setting : json.at("/tables/settings")) {
            assertTrue(setting.at("/tokens_per_second_during/median").doubleValue() > 0, setting.toString());
        }
    }

    @Test
    void pairedRunsTakeTurnsAndAreComparable() {
        Lab lab = lab(2, "train.iterations=2", "train.prompts_per_iteration=2");
        Variant off = Variant.of("off", "speculation.mode=off", "distill.enabled=false");
        Variant on = Variant.of("on", "speculation.mode=fixed", "speculation.plan=2x1x2", "distill.overlap=true");
        Map<Variant, List<Trace>> traces = new PairedRuns(lab, "pairs", List.of()).run(List.of(off, on));
        for (int seed = 0; seed < 2; seed++) {
            Trace a = traces.get(off).get(seed);
            Trace b = traces.get(on).get(seed);
            assertEquals(seed + 1, a.seed());
            assertEquals(a.seed(), b.seed());
            assertEquals(2, b.seconds().length);
            assertArrayEquals(a.series("/reward"), b.series("/reward"));
            assertEquals(a.summary().at("/rollout/trajectory_sha256"), b.summary().at("/rollout/trajectory_sha256"));
            assertTrue(Double.isNaN(a.last("/seconds/drafter_nothing", 2)), "what is missing is no number");
            assertEquals((b.series("/accept_length")[0] + b.series("/accept_length")[1]) / 2, b.last("/accept_length", 3), 1e-12);
        }
        assertFalse(traces.get(off).get(0).summary().at("/rollout/trajectory_sha256")
            .equals(traces.get(off).get(1).summary().at("/rollout/trajectory_sha256")), "seeds differ");
        Series curve = Curves.byIteration("on", traces.get(on), "/accept_length");
        assertEquals(2, curve.x().length);
        assertTrue(curve.low()[0] <= curve.y()[0] && curve.y()[0] <= curve.high()[0]);
    }

    @Test
    void anOutcomeWithoutAFolderIsBadInput() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "not a folder");
        Plot plot = new Plot.Lines("t", Axis.linear("x"), Axis.linear("y"),
            List.of(Series.of("s", new double[] {1, 2}, new double[] {1, 2})));
        Outcome outcome = new Outcome(List.of(), List.of(new Outcome.Chart("c", plot)), List.of());
        BadInput e = assertThrows(BadInput.class,
            () -> new OutcomeWriter(file, System.out).write(new GapThree(), lab(1), outcome, 1));
        assertTrue(e.getMessage().contains("--output"), e.getMessage());
    }
}

package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
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
        assertTrue(Files.exists(folder.resolve("gap3-runs/on-reward-seed1/metrics.jsonl")), "runs are left for the report");
        assertFalse(Files.exists(folder.resolve("gap3-runs/on-reward-seed1/checkpoints")));
    }

    /** Whether and when the depth moves depends on the machine; that every load is there with what was chosen around it does not. */
    @Test
    void loadsAreRecordedOneByOne() throws IOException {
        Lab lab = lab(1);
        Experiment experiment = new Load(DecodeShape.TINY, 40, 24);
        Outcome outcome = experiment.run(lab);
        assertEquals(4, outcome.claims().size());
        PrintStream out = new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
        new OutcomeWriter(folder, out).write(experiment, lab, outcome, 1);
        JsonNode json = new JsonMapper().readTree(folder.resolve("load.json").toFile());
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
        for (JsonNode plot : json.path("plots")) {
            assertEquals(1520, ImageIO.read(folder.resolve(plot.textValue()).toFile()).getWidth());
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
        BadInput e = org.junit.jupiter.api.Assertions.assertThrows(BadInput.class,
            () -> new OutcomeWriter(file, System.out).write(new GapThree(), lab(1), outcome, 1));
        assertTrue(e.getMessage().contains("--output"), e.getMessage());
    }
}

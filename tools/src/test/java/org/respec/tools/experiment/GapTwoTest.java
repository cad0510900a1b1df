package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.Initializer;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelFiles;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.run.Devices;
import org.respec.kernels.Ops;

/** Gap 2 on the bundled model, its runs cut to four iterations of four short responses: who learns, and whose figures are whose. */
class GapTwoTest {
    private static final Path CONFIG = Path.of("examples", "quickstart.yaml");
    private static final Path DRAFTER = Path.of("models", "arithmetic", "drafter");
    private static final List<String> TINY = List.of("train.iterations=4", "train.prompts_per_iteration=2", "train.group_size=2",
        "train.mini_batches=1", "train.micro_batch_tokens=512", "rollout.max_tokens=24", "run.threads=2",
        "distill.batch_tokens=256", "distill.capacity_tokens=1024",
        // So few and so large steps that what was learnt, for better or worse, shows at once.
        "distill.steps_per_update=4", "distill.learning_rate=0.01", "distill.warmup_steps=0");

    @TempDir
    private Path folder;

    /** A drafter that was taught nothing, with whom no frozen run can be taken for one that began with the bundled drafter. */
    private Path untaught() throws IOException {
        DrafterConfig config = DrafterConfig.read(DRAFTER.resolve("config.json"));
        Path drafter = folder.resolve("untaught");
        try (Ops ops = Devices.open("cpu", 1); ParameterSet weights = new ParameterSet(ops, "untaught", config.tensors())) {
            Initializer.fill(weights, 1, 5);
            ModelFiles.write(drafter, config.toJson(), weights);
        }
        return drafter;
    }

    /** A run as it lies in its folder, read without the experiment's own classes. */
    private record Run(JsonNode summary, double[] acceptLengths) {
        static Run read(Path folder) throws IOException {
            JsonMapper mapper = new JsonMapper();
            List<String> lines = Files.readAllLines(folder.resolve("metrics.jsonl"));
            double[] lengths = new double[lines.size()];
            for (int i = 0; i < lengths.length; i++) {
                lengths[i] = mapper.readTree(lines.get(i)).path("accept_length").doubleValue();
            }
            return new Run(mapper.readTree(folder.resolve("summary.json").toFile()), lengths);
        }

        double end() {
            return (acceptLengths[1] + acceptLengths[2] + acceptLengths[3]) / 3;
        }

        String drafter() {
            return summary.at("/drafter/weights_sha256").textValue();
        }
    }

    @Test
    void onlyOnlineDraftersLearnAndTheTablesSayWhoIsWho() throws IOException {
        Path stale = untaught();
        Outcome outcome = new GapTwo(lab -> stale).run(new Lab(CONFIG, TINY, folder, "cpu", 1, true, line -> { }));
        List<String> fresh = List.of("frozen", "uniform-sync-1", "reward-overlap-1");
        Map<String, Run> runs = check(outcome.tables().getFirst(), "fresh", fresh, outcome.claims().subList(0, 3));
        runs.putAll(check(outcome.tables().getLast(), "stale", List.of("stale-frozen", "stale-reward-overlap-1"),
            outcome.claims().subList(3, 5)));
        for (Run run : runs.values()) {
            assertEquals(runs.get("frozen").summary.at("/rollout/trajectory_sha256"), run.summary.at("/rollout/trajectory_sha256"));
        }
        assertEquals(sha256(DRAFTER), runs.get("frozen").drafter(), "the frozen drafter is the one it began with");
        assertEquals(sha256(stale), runs.get("stale-frozen").drafter(), "the frozen stale drafter is the one it began with");
        assertTrue(runs.get("stale-frozen").acceptLengths[0] < 0.7 * runs.get("frozen").acceptLengths[0], "one knows nothing");
    }

    private static String sha256(Path drafter) {
        try (Ops ops = Devices.open("cpu", 1); LoadedModel model = LoadedModel.load(ops, DRAFTER.resolveSibling("actor"), drafter)) {
            return model.drafter().weights().sha256();
        }
    }

    /**
     * A table's rows against the runs' folders: each drafter's own figures, over those of the frozen one that began alike. Then claims: of
     * what was named before, whatever others reached, and after it of each other.
     */
    private Map<String, Run> check(Table table, String name, List<String> drafters, List<Claim> claims) throws IOException {
        assertEquals(name, table.name());
        assertEquals(List.of("drafter", "first", "last", "over_frozen", "drafter_seconds", "exposed_seconds"), table.columns());
        assertEquals(drafters, table.rows().stream().map(row -> (String) row.getFirst()).toList());
        Map<String, Run> runs = new LinkedHashMap<>();
        for (List<Object> row : table.rows()) {
            String drafter = (String) row.getFirst();
            Run run = Run.read(folder.resolve("gap2-runs").resolve(drafter + "-seed1"));
            runs.put(drafter, run);
            Run frozen = runs.get(drafters.getFirst());
            assertEquals(run.acceptLengths[0], median(row, 1), 1e-12, drafter);
            assertEquals(run.end(), median(row, 2), 1e-12, drafter);
            assertEquals(run.end() / frozen.end(), median(row, 3), 1e-12, drafter);
            assertEquals(run.summary.at("/seconds/drafter").doubleValue(), median(row, 4), 1e-12, drafter);
            assertEquals(run.summary.at("/seconds/drafter_exposed").doubleValue(), median(row, 5), 1e-12, drafter);
            if (run == frozen) {
                assertEquals(0, run.summary.at("/drafter/version").intValue(), "updates of " + drafter);
                assertEquals(0, median(row, 4), "seconds in which " + drafter + " learnt");
            } else {
                assertEquals(4, run.summary.at("/drafter/version").intValue(), "updates of " + drafter);
                assertNotEquals(frozen.drafter(), run.drafter(), drafter);
                assertTrue(median(row, 4) > 0, drafter);
                Claim claim = claims.stream().filter(c -> c.bar() == 1.2 && c.claim().contains(", " + name + ", " + drafter + " "))
                    .reduce((one, other) -> fail(one + " and " + other)).orElseThrow();
                assertEquals(drafter.endsWith("reward-overlap-1") ? "judged" : "beside it",
                    claim.claim().replaceAll(".*\\((.*)\\)", "$1"));
                assertEquals(median(row, 3), claim.value(), 1e-12, drafter);
                assertEquals(median(row, 3) >= 1.2, claim.holds(), drafter);
            }
        }
        assertEquals(runs.size(), runs.values().stream().mapToDouble(Run::end).distinct().count(), "ends that can be told apart");
        String judged = drafters.getLast();
        assertTrue(claims.getFirst().claim().endsWith(judged + " (judged)"), claims.toString());
        assertTrue(claims.get(1).claim().startsWith("share of the learner's time") && claims.get(1).claim().endsWith(judged),
            claims.toString());
        return runs;
    }

    private static double median(List<Object> row, int column) {
        return ((Spread) row.get(column)).median();
    }
}

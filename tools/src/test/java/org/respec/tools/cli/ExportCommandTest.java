package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From a run to responses of what it trained. */
class ExportCommandTest {
    @TempDir
    static Path folder;
    private static Path run;
    private static CommandOutcome trained;

    @BeforeAll
    static void train() {
        run = folder.resolve("run");
        trained = CommandOutcome.of("train", Path.of("examples", "quickstart.yaml").toString(), "run.dir=" + run, "run.device=cpu",
            "run.threads=2", "train.iterations=2", "train.checkpoint_every=1", "train.prompts_per_iteration=4", "train.group_size=4",
            "train.mini_batches=1", "train.learning_rate=0.003", "speculation.mode=fixed", "speculation.plan=2x1x2",
            "distill.steps_per_update=1", "distill.capacity_tokens=2048", "eval.problems=4", "eval.comparison=false");
        assertEquals(0, trained.code(), trained.err());
    }

    private static String draw(Path models) {
        CommandOutcome drawn = CommandOutcome.of("generate", "--model", models.resolve("actor").toString(), "--drafter",
            models.resolve("drafter").toString(), "--prompt", "12+34-5+21=", "--device", "cpu", "--json");
        assertEquals(0, drawn.code(), drawn.err());
        return drawn.out();
    }

    @Test
    void aRunsModelsAreDrawnFrom() {
        for (String model : List.of("actor", "drafter")) {
            assertTrue(trained.out().matches("(?s).*trained " + model + " +" + run.resolve(model) + "\\n.*"), trained.out());
        }
        String drawn = draw(run);
        assertNotEquals(draw(Path.of("models", "arithmetic")), drawn, "training has changed what is drawn");
        CommandOutcome newest = CommandOutcome.of("export", run.toString(), "--output", folder.resolve("newest").toString());
        assertEquals(0, newest.code(), newest.err());
        assertEquals(List.of("actor", "drafter").stream().map(m -> "written to " + folder.resolve("newest").resolve(m)).toList(),
            newest.out().lines().toList());
        assertEquals(drawn, draw(folder.resolve("newest")), "the last checkpoint is of the run's end");
        CommandOutcome first = CommandOutcome.of("export", run.toString(), "--output", folder.resolve("first").toString(),
            "--iteration", "1");
        assertEquals(0, first.code(), first.err());
        assertNotEquals(drawn, draw(folder.resolve("first")));
    }

    @Test
    void badInputIsNamed() throws IOException {
        Path full = Files.createDirectories(folder.resolve("full/of")).getParent();
        Path file = Files.writeString(folder.resolve("file"), "x");
        Path none = folder.resolve("none");
        assertBad("Missing required parameter: 'RUN'", "--output", none.toString());
        assertBad("--output: " + full + " is not empty; name a new folder.", run.toString(), "--output", full.toString());
        assertBad("--output: " + file + " is a file; name a new folder.", run.toString(), "--output", file.toString());
        assertBad(none + ": there is no run with checkpoints", none.toString(), "--output", folder.resolve("o").toString());
        assertBad("there is no checkpoint of iteration 9; there are 1, 2.", run.toString(), "--output", folder.resolve("o").toString(),
            "--iteration", "9");
    }

    private static void assertBad(String words, String... arguments) {
        String[] all = new String[arguments.length + 1];
        all[0] = "export";
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        CommandOutcome outcome = CommandOutcome.of(all);
        assertEquals(2, outcome.code(), outcome.err());
        assertTrue(outcome.err().contains(words) && outcome.err().lines().count() == 1, outcome.err());
    }
}

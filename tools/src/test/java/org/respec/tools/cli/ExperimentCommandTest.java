package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExperimentCommandTest {
    private static final String CONFIG = Path.of("examples", "quickstart.yaml").toString();

    @TempDir
    private Path folder;

    @Test
    void couplingGivesTheDesignsFigures() throws IOException {
        CommandOutcome outcome = CommandOutcome.of("experiment", "coupling", "--quick", "--seeds", "1", "--device", "cpu",
            "--config", CONFIG, "--output", folder.toString());
        assertEquals(0, outcome.code(), outcome.err());
        JsonNode json = new JsonMapper().readTree(folder.resolve("coupling.json").toFile());
        assertEquals(6, json.path("findings").size());
        for (JsonNode finding : json.path("findings")) {
            assertTrue(finding.path("holds").booleanValue(), finding.toString());
        }
        int model = 0;
        for (JsonNode row : json.at("/tables/acceptance")) {
            for (String rule : new String[] {"ranked", "rejection", "coupled"}) {
                double rate = row.path(rule).path("mean").doubleValue();
                assertTrue(rate > 0 && rate <= 1 + 1e-12, row.toString());
                boolean greedy = row.path("temperature").doubleValue() == 0;
                assertTrue(!greedy || rate == row.path("ranked").path("mean").doubleValue(), "all rules are one at temperature 0");
                // The bundled drafter was taught by this actor.
                model += row.path("source").textValue().equals("model") && rate > 0.7 ? 1 : 0;
            }
        }
        assertEquals(3 * 3 * 3 * 3, model, "temperatures, levels, children and rules");
        for (JsonNode plot : json.path("plots")) {
            assertTrue(Files.size(folder.resolve(plot.textValue())) > 5000);
        }
    }

    @Test
    void badInputIsOneSentence() throws IOException {
        for (String[] arguments : new String[][] {{"gap9"}, {"gap3", "--seeds", "-1"}, {"coupling", "--quick", "--config", "nowhere.yaml"},
            {"coupling", "--quick", "--device", "abacus"}, {"gap3", "--config", "nowhere.yaml"},
            {"gap3", "--config", CONFIG, "train.iteration=3"}, {"gap3", "--config", CONFIG, "--device", "abacus"}}) {
            String[] all = new String[arguments.length + 3];
            all[0] = "experiment";
            System.arraycopy(arguments, 0, all, 1, arguments.length);
            all[all.length - 2] = "--output";
            all[all.length - 1] = folder.toString();
            CommandOutcome outcome = CommandOutcome.of(all);
            assertEquals(2, outcome.code(), outcome.err() + outcome.out());
            assertEquals(1, outcome.err().lines().count(), outcome.err());
            assertEquals("", outcome.out(), "before any work");
        }
        Path file = Files.writeString(folder.resolve("file"), "");
        CommandOutcome outcome = CommandOutcome.of("experiment", "coupling", "--quick", "--config", CONFIG, "--output",
            file.toString());
        assertEquals(2, outcome.code(), outcome.err() + outcome.out());
        assertTrue(outcome.err().startsWith("respec: " + file + ": nothing can be written there"), outcome.err());
        assertEquals("", outcome.out(), "before any work");
    }
}

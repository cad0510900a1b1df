package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.kernels.Backends;

/** {@code gpu-check} on the emulator: every stage's whole course, with tiny models. */
class GpuCheckCommandTest {
    private static String home;

    @TempDir
    private Path folder;

    @BeforeAll
    static void begin() {
        home = System.getProperty("respec.home");
        System.setProperty("respec.home", Path.of("..").toAbsolutePath().normalize().toString());
    }

    @AfterAll
    static void end() {
        if (home == null) {
            System.clearProperty("respec.home");
        } else {
            System.setProperty("respec.home", home);
        }
    }

    private static void needsEmulator() {
        try {
            Backends.open("emulator", 1).close();
        } catch (IllegalArgumentException e) {
            assumeTrue(false, e.getMessage());
        }
    }

    private static void assertBad(String fragment, String... arguments) {
        PrintStream err = System.err;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        System.setErr(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            assertEquals(2, Main.execute(arguments));
        } finally {
            System.setErr(err);
        }
        String said = bytes.toString(StandardCharsets.UTF_8);
        assertTrue(said.contains(fragment), said);
        assertEquals(1, said.lines().count(), said);
    }

    private JsonNode check(int code, String only) throws IOException {
        return check(code, only, "1");
    }

    private JsonNode check(int code, String only, String patience) throws IOException {
        Path file = folder.resolve("check.json");
        assertEquals(code, Main.execute("gpu-check", "--device", "emulator", "--quick", "--only", only, "--patience", patience, "--json",
            file.toString()));
        return new JsonMapper().readTree(file.toFile());
    }

    @Test
    void operatorsOfOneNameAreChecked() throws IOException {
        needsEmulator();
        Path file = folder.resolve("check.json");
        assertEquals(0, Main.execute("gpu-check", "--device", "emulator", "--only", "operators:rmsNorm", "--json", file.toString()));
        JsonNode root = new JsonMapper().readTree(file.toFile());
        assertTrue(root.path("passed").booleanValue(), root.toString());
        assertTrue(root.path("device").textValue().contains("emulator"), root.toString());
        assertTrue(root.path("driver").intValue() > 0, root.toString());
        assertTrue(root.path("date").textValue().matches("\\d{4}-\\d\\d-\\d\\dT.*Z"), root.toString());
        List<String> stages = new ArrayList<>();
        root.path("stages").fieldNames().forEachRemaining(stages::add);
        assertEquals(List.of("operators"), stages);
        // Each of rmsNorm, rmsNorm invariance and rmsNormBackward in f32 and bf16.
        assertEquals(6, root.at("/stages/operators/checks").size(), root.toString());
        for (JsonNode check : root.at("/stages/operators/checks")) {
            assertTrue(check.path("name").textValue().startsWith("rmsNorm"), check.toString());
            assertTrue(check.path("passed").booleanValue() && check.path("message").textValue().isEmpty(), check.toString());
            assertTrue(check.path("seconds").doubleValue() > 0, check.toString());
            assertTrue(check.path("share_of_tolerance").doubleValue() <= 1, check.toString());
        }
    }

    @Test
    void everyStageRuns() throws IOException {
        needsEmulator();
        JsonNode stages = check(0, "operators:fill,generate,gradients,train,resume,kernels:rmsNorm,decode").path("stages");
        for (JsonNode stage : stages) {
            assertTrue(stage.path("passed").booleanValue() && stage.path("message").textValue().isEmpty(), stages.toPrettyString());
        }
        // Temperatures 0 and 1, speculation off and on, graphs on and off.
        assertEquals(8, stages.at("/generate/rows").size(), stages.toPrettyString());
        assertEquals(4, stages.at("/generate/rows").findValuesAsText("graphs").stream().filter("true"::equals).count());
        for (JsonNode row : stages.at("/generate/rows")) {
            assertTrue(row.path("tokens").intValue() >= 2 && row.path("equal").intValue() <= row.path("tokens").intValue(), row.toString());
        }
        assertEquals(List.of("supervised", "policy", "policy with KL term", "distillation"),
            stages.at("/gradients/rows").findValuesAsText("loss"));
        for (JsonNode row : stages.at("/gradients/rows")) {
            // The order of sums differs, so that nothing at all would mean that nothing was compared.
            double error = row.path("relative_error").doubleValue();
            assertTrue(error > 0 && error < 1e-3, row.toString());
        }
        assertEquals(2, stages.at("/train/summary/iterations").intValue());
        assertEquals(2, stages.at("/train/rewards").size());
        assertTrue(stages.at("/resume/same_bits").booleanValue());
        assertEquals(2, stages.at("/resume/outcomes_passed").intValue());
        assertTrue(stages.at("/kernels/rows").size() > 0);
        // Batches 1 and 2, speculation off and on.
        assertEquals(4, stages.at("/decode/tiny/rows").size());
        for (JsonNode row : stages.at("/decode/tiny/rows")) {
            assertTrue(row.path("tokens_per_second").doubleValue() > 0 && row.path("share_of_copy").doubleValue() > 0, row.toString());
        }
    }

    @Test
    void generateDrawsTheSameWithAndWithoutGraphs() {
        needsEmulator();
        Path models = Path.of("models", "arithmetic").toAbsolutePath();
        List<String> outcomes = Stream.of("--graphs", "--no-graphs").map(graphs -> {
            PrintStream out = System.out;
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
            try {
                assertEquals(0, Main.execute("generate", "--model", models.resolve("actor").toString(), "--drafter",
                    models.resolve("drafter").toString(), "--device", "emulator", "--prompt", "12+34=", "--max-tokens", "8",
                    "--json", graphs));
            } finally {
                System.setOut(out);
            }
            return bytes.toString(StandardCharsets.UTF_8);
        }).toList();
        assertTrue(outcomes.getFirst().contains("\"tokens\":["), outcomes.getFirst());
        assertEquals(outcomes.getFirst(), outcomes.getLast());
    }

    @Test
    void aStageThatFailsStopsNoOther() throws IOException {
        needsEmulator();
        JsonNode root = check(1, "kernels:nothing,gradients:supervised");
        assertFalse(root.path("passed").booleanValue());
        assertFalse(root.at("/stages/kernels/passed").booleanValue());
        assertTrue(root.at("/stages/kernels/message").textValue().contains("'nothing'"), root.toString());
        assertTrue(root.at("/stages/gradients/passed").booleanValue(), root.toString());
    }

    @Test
    void patienceMultipliesTimeLimits() throws IOException {
        needsEmulator();
        double limit = check(1, "kernels:nothing").at("/stages/kernels/limit_seconds").doubleValue();
        assertTrue(limit > 0);
        assertEquals(2.5 * limit, check(1, "kernels:nothing", "2.5").at("/stages/kernels/limit_seconds").doubleValue());
    }

    @Test
    void badInputIsNamed() {
        assertBad("above 0", "gpu-check", "--device", "emulator", "--patience", "0");
        assertBad("above 0", "gpu-check", "--device", "emulator", "--patience", "NaN");
        assertBad("nosuch", "gpu-check", "--device", "nosuch");
        assertBad("use cuda or emulator", "gpu-check", "--device", "cpu");
        assertBad("no stage 'nothing'", "gpu-check", "--device", "emulator", "--only", "nothing");
        assertBad("give both or none", "gpu-check", "--device", "emulator", "--model", "x");
        assertBad("does not exist", "gpu-check", "--device", "emulator", "--only", "operators", "--json",
            folder.resolve("none").resolve("x.json").toString());
    }
}

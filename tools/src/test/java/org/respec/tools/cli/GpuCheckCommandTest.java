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
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.Backends;
import org.respec.kernels.NoiseField;

/** {@code gpu-check} on the emulator, and how it judges responses that differ. */
class GpuCheckCommandTest {
    private static final Path MODELS = Path.of("models", "arithmetic").toAbsolutePath();

    @TempDir
    private Path folder;

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

    @Test
    void checksOfOneNameAreWritten() throws IOException {
        needsEmulator();
        Path file = folder.resolve("check.json");
        assertEquals(0, Main.execute("gpu-check", "--device", "emulator", "--only", "rmsNorm", "--json", file.toString()));
        JsonNode root = new JsonMapper().readTree(file.toFile());
        assertTrue(root.path("passed").booleanValue(), root.toString());
        assertTrue(root.path("device").textValue().contains("emulator"), root.toString());
        assertTrue(root.path("driver").intValue() > 0, root.toString());
        assertTrue(root.path("date").textValue().matches("\\d{4}-\\d\\d-\\d\\dT.*Z"), root.toString());
        assertTrue(root.path("generate").isArray() && root.path("generate").isEmpty(), root.toString());
        // Each of rmsNorm, rmsNorm invariance and rmsNormBackward in f32 and bf16.
        assertEquals(6, root.path("checks").size(), root.toString());
        for (JsonNode check : root.path("checks")) {
            assertTrue(check.path("name").textValue().startsWith("rmsNorm"), check.toString());
            assertTrue(check.path("passed").booleanValue() && check.path("message").textValue().isEmpty(), check.toString());
            assertTrue(check.path("seconds").doubleValue() > 0, check.toString());
            assertTrue(check.path("share_of_tolerance").doubleValue() <= 1, check.toString());
        }
    }

    @Test
    void responsesAreComparedWithTheCpus() throws IOException {
        needsEmulator();
        Path file = folder.resolve("generate.json");
        assertEquals(0, Main.execute("gpu-check", "--device", "emulator", "--only", "generate, temperature 1", "--json", file.toString(),
            "--model", MODELS.resolve("actor").toString(), "--drafter", MODELS.resolve("drafter").toString()));
        JsonNode root = new JsonMapper().readTree(file.toFile());
        assertTrue(root.path("checks").isEmpty(), root.toString());
        assertEquals(List.of("off", "off", "4x2x8", "4x2x8"), root.path("generate").findValuesAsText("speculation"));
        assertEquals(List.of("true", "false", "true", "false"), root.path("generate").findValuesAsText("graphs"));
        for (JsonNode row : root.path("generate")) {
            assertEquals(1, row.path("temperature").doubleValue());
            assertTrue(row.path("tokens").intValue() >= 16, row.toString());
            assertTrue(row.path("equal").intValue() <= row.path("tokens").intValue(), row.toString());
            assertTrue(row.path("largest_log_prob_difference").doubleValue() < GenerateCheck.TOLERANCE, row.toString());
        }
    }

    @Test
    void generateDrawsTheSameWithAndWithoutGraphs() {
        needsEmulator();
        List<String> outcomes = Stream.of("--graphs", "--no-graphs").map(graphs -> {
            PrintStream out = System.out;
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
            try {
                assertEquals(0, Main.execute("generate", "--model", MODELS.resolve("actor").toString(), "--drafter",
                    MODELS.resolve("drafter").toString(), "--device", "emulator", "--prompt", "12+34=", "--max-tokens", "8", "--json", graphs));
            } finally {
                System.setOut(out);
            }
            return bytes.toString(StandardCharsets.UTF_8);
        }).toList();
        assertTrue(outcomes.getFirst().contains("\"tokens\":["), outcomes.getFirst());
        assertEquals(outcomes.getFirst(), outcomes.getLast());
    }

    @Test
    void badInputIsNamed() {
        assertBad("nosuch", "gpu-check", "--device", "nosuch");
        assertBad("use cuda or emulator", "gpu-check", "--device", "cpu");
        assertBad("'nothing'", "gpu-check", "--device", "emulator", "--only", "nothing");
        assertBad("does not exist", "gpu-check", "--device", "emulator", "--only", "fill", "--json",
            folder.resolve("none").resolve("x.json").toString());
    }

    private static Trajectory response(int[] tokens, float... logProbs) {
        return new Trajectory(0, 0, 5, new int[] {3, 4}, tokens, logProbs, false, null);
    }

    private static GenerateCheck.Result compare(float temperature, Trajectory want, Trajectory got) {
        return GenerateCheck.compare(temperature, "off", true, List.of(want), List.of(got));
    }

    @Test
    void onlyNearTiesAreForgiven() {
        Trajectory want = response(new int[] {7, 8, 9}, -0.5f, -0.7f, -0.1f);
        GenerateCheck.Result same = compare(0, want, response(new int[] {7, 8, 9}, -0.5001f, -0.7f, -0.1f));
        assertTrue(same.passed(), same.message());
        assertEquals(3, same.equal());
        assertEquals(1e-4, same.largestDifference(), 1e-6);

        GenerateCheck.Result tie = compare(0, want, response(new int[] {7, 6, 2}, -0.5f, -0.7003f, -3f));
        assertTrue(tie.passed(), tie.message());
        assertEquals(List.of(3, 1, 1), List.of(tie.tokens(), tie.equal(), tie.nearTies()));

        assertFalse(compare(0, want, response(new int[] {7, 6, 2}, -0.5f, -0.71f, -3f)).passed());
        assertFalse(compare(0, want, response(new int[] {7, 8}, -0.5f, -0.7f)).passed());
        assertFalse(compare(0, want, response(new int[] {7, 8, 9}, -0.5f, -0.7f, -0.2f)).passed());
        assertFalse(compare(0, want, response(new int[] {7, 8, 9}, Float.NaN, -0.7f, -0.1f)).passed());

        // With noise it is the sum that ties: that of the token's own position, 2 prompt tokens and 1 response token on.
        float shift = NoiseField.at(77, 5, 3, 8) - NoiseField.at(77, 5, 3, 6);
        assertTrue(compare(1, want, response(new int[] {7, 6, 2}, -0.5f, -0.7f + shift, -3f)).passed());
        assertFalse(compare(1, want, response(new int[] {7, 6, 2}, -0.5f, -0.7f, -3f)).passed());
    }
}

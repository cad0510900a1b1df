package org.respec.tools.check;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.kernels.Backends;
import org.respec.kernels.gpu.KernelNeed;

/** Stages in processes of their own: what they found is joined, and what kills one is said and kills nothing else. */
class StageProcessTest {
    @TempDir
    private Path folder;

    private final ObjectNode stage = new JsonMapper().createObjectNode();
    private final ByteArrayOutputStream said = new ByteArrayOutputStream();

    private void run(double seconds, StageProcess.Command command) throws IOException {
        StageProcess.run("operators", command, folder, seconds, stage, new PrintStream(said, true, StandardCharsets.UTF_8), () -> {
        });
    }

    private static List<String> shell(Path json, String stage, String rest) {
        return List.of("sh", "-c", "echo '{\"stages\":{\"operators\":" + stage + "}}' > " + json + "; " + rest);
    }

    @Test
    void whatAStageFoundIsTakenOver() throws IOException {
        run(60, (json, after) -> shell(json, "{\"checks\":[{\"name\":\"a\"}],\"passed\":true,\"message\":\"\"}", "echo done"));
        assertEquals("{\"checks\":[{\"name\":\"a\"}],\"passed\":true,\"message\":\"\"}", stage.toString());
        assertEquals("done\n", said.toString(StandardCharsets.UTF_8));
    }

    @Test
    void aStageGoesOnBehindTheCheckThatKilledIt() throws IOException {
        List<String> begins = new ArrayList<>();
        run(60, (json, after) -> {
            begins.add(after);
            return switch (after) {
                // A crash in b; then an error in c that the process outlives, but its context does not; d is fine.
                case "" -> shell(json, "{\"checks\":[{\"name\":\"a, f32\"}],\"running\":\"b\"}", "echo boom; exit 134");
                case "b" -> shell(json, "{\"checks\":[{\"name\":\"c\"}],\"died\":true,\"passed\":false,\"message\":\"c killed it\","
                    + "\"outcomes_failed\":1,\"seconds\":1.5}", "exit 1");
                default -> shell(json, "{\"checks\":[{\"name\":\"d\"}],\"passed\":true,\"message\":\"\",\"outcomes_failed\":0,"
                    + "\"seconds\":2}", "exit 0");
            };
        });
        assertEquals(List.of("", "b", "c"), begins);
        assertEquals(List.of("a, f32", "c", "d"), stage.path("checks").findValuesAsText("name"));
        assertFalse(stage.path("passed").booleanValue());
        assertEquals("in b its process ended with exit code 134; its last lines: boom; c killed it", stage.path("message").textValue());
        assertEquals(2, stage.path("deaths").size());
        assertEquals(1, stage.path("outcomes_failed").intValue());
        assertEquals(3.5, stage.path("seconds").doubleValue());
        assertFalse(stage.has("running") || stage.has("died"), stage.toString());
    }

    @Test
    void aStageThatFindsNothingOrWillNotEndIsGivenUp() throws IOException {
        run(60, (json, after) -> List.of("sh", "-c", "echo no device; exit 2"));
        assertFalse(stage.path("passed").booleanValue());
        assertEquals("its process ended with exit code 2; its last lines: no device", stage.path("message").textValue());
        stage.removeAll();
        run(0.5, (json, after) -> shell(json, "{\"rows\":[1]}", "exec sleep 1000"));
        assertEquals(1, stage.path("rows").size());
        assertTrue(stage.path("message").textValue().startsWith("its process was ended because it was stuck"), stage.toString());
    }

    @Test
    void anExitCodeSpoilsAStageThatSaysItPassed() throws IOException {
        run(60, (json, after) -> shell(json, "{\"passed\":true,\"message\":\"\"}", "exit 139"));
        assertFalse(stage.path("passed").booleanValue());
        assertTrue(stage.path("message").textValue().contains("139"), stage.toString());
    }

    @Test
    void emulatedStagesRunInProcessesToo() {
        try {
            Backends.open("emulator", 1).close();
        } catch (IllegalArgumentException e) {
            assumeTrue(false, e.getMessage());
        }
        Path models = Path.of("models", "arithmetic").toAbsolutePath();
        GpuCheck.Settings settings = new GpuCheck.Settings("emulator", true, models.resolve("actor"), models.resolve("drafter"),
            Path.of("examples", "quickstart.yaml").toAbsolutePath(), "", 1, true);
        GpuCheck check = new GpuCheck(settings, List.of("operators:fill f", "operators:copy i32", "kernels:nothing"),
            new PrintStream(said, true, StandardCharsets.UTF_8));
        String home = "-Drespec.home=" + Path.of("..").toAbsolutePath().normalize();
        assertFalse(check.run((only, json, after) -> {
            List<String> arguments = new ArrayList<>(List.of("gpu-check", "--here", "--compiled", "--quick", "--device", "emulator",
                "--json", json.toString()));
            only.forEach(each -> arguments.addAll(List.of("--only", each)));
            List<String> command = OwnJava.command("org.respec.tools.cli.Main", arguments);
            command.add(1, home);
            return command;
        }, () -> {
        }, sentence -> {
        }));
        ObjectNode root = check.json();
        assertTrue(root.at("/stages/operators/passed").booleanValue(), root.toPrettyString());
        assertEquals(List.of("fill f32", "copy i32"), root.at("/stages/operators/checks").findValuesAsText("name"), root.toPrettyString());
        assertTrue(root.at("/stages/kernels/message").textValue().contains("'nothing'"), root.toPrettyString());
    }

    @Test
    void kernelsThatDoNotCompileAreNamed() {
        ObjectNode json = new JsonMapper().createObjectNode();
        String message = KernelCompilation.run(KernelNeed.ALL, "sm_20", 13000, 1, json,
            new PrintStream(said, true, StandardCharsets.UTF_8));
        assertTrue(message.contains("exit code 1") && message.contains("GpuException"), message);
        assertFalse(json.path("passed").booleanValue());
        assertTrue(json.path("kernels").intValue() > 100, json.toString());
    }
}

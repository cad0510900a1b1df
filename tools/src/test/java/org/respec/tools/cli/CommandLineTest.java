package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands on the bundled model, and what they say to bad input. */
class CommandLineTest {
    private static final Path MODELS = Path.of("models", "arithmetic").toAbsolutePath();
    private static final String ACTOR = MODELS.resolve("actor").toString();
    private static final String DRAFTER = MODELS.resolve("drafter").toString();

    @TempDir
    private Path folder;

    private static void assertBad(String fragment, String... arguments) {
        CommandOutcome outcome = CommandOutcome.of(arguments);
        assertEquals(2, outcome.code(), outcome.err() + outcome.out());
        assertTrue(outcome.err().contains(fragment), "expected '" + fragment + "' in: " + outcome.err());
        assertEquals(1, outcome.err().lines().count(), outcome.err());
    }

    private static JsonNode generate(String... more) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("generate", "--model", ACTOR, "--json"));
        arguments.addAll(List.of(more));
        CommandOutcome outcome = CommandOutcome.of(arguments.toArray(String[]::new));
        assertEquals(0, outcome.code(), outcome.err());
        return new JsonMapper().readTree(outcome.out());
    }

    private static int[] tokens(JsonNode json) {
        return StreamSupport.stream(json.path("tokens").spliterator(), false).mapToInt(JsonNode::intValue).toArray();
    }

    @Test
    void generateDrawsTheSameWithAnyPlan() throws IOException {
        JsonNode plain = generate("--prompt", "12+34-5=", "--seed", "3");
        assertTrue(plain.path("text").textValue().startsWith("12+34="), plain.toString());
        assertEquals(plain.path("tokens").size(), plain.path("log_probs").size());
        assertEquals(1, plain.path("accept_length").doubleValue());
        for (String plan : List.of("2x1x2", "4x2x8", "4x4x16", "off")) {
            JsonNode speculated = generate("--prompt", "12+34-5=", "--seed", "3", "--drafter", DRAFTER, "--speculation", plan);
            assertArrayEquals(tokens(plain), tokens(speculated), plan);
            assertEquals(plain.path("log_probs"), speculated.path("log_probs"), plan);
        }
        JsonNode ngram = generate("--prompt", "12+34-5=", "--seed", "3", "--speculation", "ngram:4x2x8");
        assertArrayEquals(tokens(plain), tokens(ngram));
        assertEquals(plain.path("log_probs"), ngram.path("log_probs"));
    }

    @Test
    void promptIdsAreThePromptsTokens() throws IOException {
        // Two special tokens come first, then the digits.
        assertArrayEquals(tokens(generate("--prompt", "1+2=", "--temperature", "0")),
            tokens(generate("--prompt-ids", "3,12,4,14", "--temperature", "0")));
    }

    @Test
    void lengthIsLimited() throws IOException {
        assertEquals(5, generate("--prompt", "12+34=", "--max-tokens", "5", "--drafter", DRAFTER).path("tokens").size());
    }

    @Test
    void badArgumentsAreNamed() {
        assertBad("--model", "generate", "--prompt", "1+2=");
        assertBad("--prompt", "generate", "--model", ACTOR);
        assertBad("--prompt", "generate", "--model", ACTOR, "--prompt", "");
        assertBad("characters", "generate", "--model", ACTOR, "--prompt", "hello");
        assertBad("--prompt-ids: 99", "generate", "--model", ACTOR, "--prompt-ids", "99");
        assertBad("--drafter", "generate", "--model", ACTOR, "--prompt", "1+2=", "--speculation", "4x2x8");
        assertBad("speculation plan '4x2'", "generate", "--model", ACTOR, "--drafter", DRAFTER, "--prompt", "1+2=", "--speculation", "4x2");
        assertBad("--temperature: -1", "generate", "--model", ACTOR, "--prompt", "1+2=", "--temperature", "-1");
        assertBad("--max-tokens", "generate", "--model", ACTOR, "--prompt", "1+2=", "--max-tokens", "100000");
        assertBad("--prompt: its 300 tokens leave no room", "generate", "--model", ACTOR, "--prompt", "1".repeat(300));
        assertBad("no such", "generate", "--model", folder.toString(), "--prompt", "1+2=");
        assertBad("gpu9", "generate", "--model", ACTOR, "--prompt", "1+2=", "--device", "gpu9");
        assertBad("--batch: 0", "bench", "rollout", "--batch", "0");
        assertBad("--engines: 0", "bench", "rollout", "--engines", "0");
        assertBad("no kernel 'nothing'", "bench", "kernels", "--only", "nothing");
        assertBad("runs no CUDA kernels", "bench", "kernels", "--device", "cpu");
        assertBad("none.yaml", "train", folder.resolve("none.yaml").toString());
        assertBad("Unknown option", "train", "x.yaml", "--resumee");
        assertBad("Unmatched argument at index 0: 'trian'; see respec --help.", "trian");
        assertBad("'x' is not an int; see respec bench rollout --help.", "bench", "rollout", "--batch", "x");
        assertBad("--batch: it is empty", "bench", "rollout", "--batch", ",");
        assertBad("--batch: it is empty", "bench", "decode", "--shape", "tiny", "--batch", ",");
        assertBad("--only: it is empty", "bench", "kernels", "--device", "emulator", "--only", ",");
        assertBad("--only: it is empty", "gpu-check", "--device", "emulator", "--only", ",");
        assertBad("--model: /no/such/model is no folder", "gpu-check", "--device", "emulator", "--model", "/no/such/model", "--drafter",
            "/no/such/drafter");
        assertBad("--temperature: NaN must be 0 to 100", "bench", "rollout", "--temperature", "NaN");
        assertBad("train --help", "train", "a\0b.yaml");
        assertBad("train --help", "train", "a\uD800.yaml");
        assertBad("--model", "generate", "--model", "\uD800", "--prompt", "1+2=");
        assertBad("task.reward: there is no reward function 'praise'; found were arithmetic; the jar of another goes into tools/plugins.",
            "train", Path.of("examples", "quickstart.yaml").toString(), "task.reward=praise", "run.device=cpu", "run.dir="
                + folder.resolve("run"));
        assertBad("--prompt-ids: nothing must be", "generate", "--model", ACTOR, "--prompt-ids", ",");
    }

    /** What cannot be written is refused before anything is measured for it. */
    @Test
    void filesToWriteAreLookedAtFirst() throws IOException {
        String none = folder.resolve("none/x.json").toString();
        String profile = Path.of("examples", "plan-profile.json").toString();
        for (String[] command : new String[][] {{"bench", "rollout"}, {"bench", "decode", "--shape", "tiny", "--context", "24"},
            {"bench", "kernels", "--device", "emulator"}, {"gpu-check", "--device", "emulator"},
            {"simulate", "--profile", profile, "--generate", "3"}}) {
            for (String file : List.of(none, folder.toString())) {
                String[] all = java.util.Arrays.copyOf(command, command.length + 2);
                all[command.length] = "--json";
                all[command.length + 1] = file;
                CommandOutcome outcome = CommandOutcome.of(all);
                assertEquals(2, outcome.code(), outcome.err() + outcome.out());
                assertTrue(outcome.err().startsWith("respec: --json: ") && outcome.err().contains(file), outcome.err());
                assertEquals("", outcome.out());
            }
        }
        assertBad("--save-trace: the folder of", "simulate", "--profile", profile, "--generate", "3", "--save-trace", none);
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(0, left.count(), "nothing was left by looking");
        }
    }

    @Test
    void aPromptMayBeginWithAnAt() throws IOException {
        Path file = Files.writeString(folder.resolve("arguments"), "1+2=");
        assertBad("characters", "generate", "--model", ACTOR, "--prompt", "@" + file);
    }

    @Test
    void badModelsAreNamed() throws IOException {
        Path actor = folder.resolve("actor");
        Files.createDirectories(actor);
        for (String name : List.of("config.json", "tokenizer.json", "model.safetensors")) {
            Files.copy(MODELS.resolve("actor").resolve(name), actor.resolve(name));
        }
        Path weights = actor.resolve("model.safetensors");
        byte[] whole = Files.readAllBytes(weights);
        Files.write(weights, java.util.Arrays.copyOf(whole, whole.length - 10));
        assertBad("model.safetensors", "generate", "--model", actor.toString(), "--prompt", "1+2=");
        Files.delete(weights);
        assertBad("model.safetensors", "generate", "--model", actor.toString(), "--prompt", "1+2=");
        Files.write(weights, whole);
        String config = Files.readString(actor.resolve("config.json"));
        Files.writeString(actor.resolve("config.json"), config.replaceAll("\"intermediate_size\" : \\d+", "\"intermediate_size\" : 100"));
        assertBad("mlp.gate_proj.weight", "generate", "--model", actor.toString(), "--prompt", "1+2=");
        Files.writeString(actor.resolve("config.json"), config.replaceAll("\"vocab_size\" : \\d+", "\"vocab_size\" : 10"));
        assertBad("vocab_size", "generate", "--model", actor.toString(), "--prompt", "1+2=");
        Files.writeString(actor.resolve("config.json"), config);
        Path tokenizer = actor.resolve("tokenizer.json");
        JsonNode root = new JsonMapper().readTree(tokenizer.toFile());
        ((com.fasterxml.jackson.databind.node.ObjectNode) root.path("model").path("vocab")).remove("=");
        Files.writeString(tokenizer, root.toString());
        assertBad("it has 17 tokens", "generate", "--model", actor.toString(), "--prompt", "1+2");
    }

    @Test
    void helpAndVersion() {
        assertEquals(0, CommandOutcome.of("--help").code());
        assertEquals(0, CommandOutcome.of("train", "--help").code());
        for (String[] command : new String[][] {{"--version"}, {"train", "--version"}, {"bench", "rollout", "-V"}}) {
            assertTrue(CommandOutcome.of(command).out().startsWith("respec "), String.join(" ", command));
        }
        assertEquals(0, CommandOutcome.of().code());
    }
}

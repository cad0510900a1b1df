package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.engine.BadInput;
import org.respec.engine.rollout.Drafting;

class RunConfigTest {
    @TempDir
    private Path folder;

    private Path file(String text) throws IOException {
        return Files.writeString(folder.resolve("run.yaml"), text);
    }

    @Test
    void defaultsAndOverrides() throws IOException {
        Path file = file("model: {actor: a, drafter: ../b}\nrun: {seed: 3}\n");
        RunConfig config = RunConfig.read(file, List.of("run.seed=9", "speculation.mode=off", "speculation.plan=2x1x2",
            "distill.enabled=false", "run.dir=/tmp/x y", "rollout.top_p=0.9", "eval.temperature=0"));
        assertEquals(9, config.run().seed());
        assertTrue(config.run().graphs());
        assertEquals("off", config.speculation().mode());
        assertEquals("2x1x2", config.speculation().plan().toString());
        assertEquals(Path.of("/tmp/x y"), config.run().dir());
        assertEquals(folder.resolve("a"), config.model().actor());
        assertEquals(folder.resolveSibling("b"), config.model().drafter());
        assertEquals(0.9f, config.rollout().topP());
        assertEquals(0f, config.eval().temperature());
        assertEquals(Drafting.Kind.NONE, config.speculation().drafting().kind());
    }

    @Test
    void draftersAreNamed() throws IOException {
        Path file = file("model: {actor: a}\n");
        assertEquals(Drafting.of(Drafting.Kind.EAGLE, 1f), RunConfig.read(file, List.of()).speculation().drafting());
        assertEquals(new Drafting(Drafting.Kind.NGRAM, 2f, false, 3L << 20), RunConfig.read(file, List.of("speculation.drafter=ngram",
            "speculation.sharpness=2", "speculation.budgets=uniform", "speculation.ngram_mib=3")).speculation().drafting());
        for (String setting : List.of("off", "adaptive", "4x2x8", "ngram:adaptive", "ngram:3x2x5")) {
            RunConfig.Speculation speculation = RunConfig.Speculation.of(setting);
            assertEquals(setting, speculation.name());
            assertEquals(!setting.equals("off") && !setting.startsWith("ngram"), speculation.needsDrafter());
        }
    }

    @Test
    void writtenOutAndReadAgainItIsTheSame() throws IOException {
        RunConfig config = RunConfig.read(file("model: {actor: a, drafter: ../b}\nrun: {seed: 3}\n"),
            List.of("run.dir=" + folder.resolve("out"), "speculation.mode=off", "speculation.plan=2x1x2", "rollout.top_p=0.9",
                "train.learning_rate=3e-5", "eval.temperature=0"));
        Path elsewhere = Files.createDirectories(folder.resolve("out")).resolve("config.json");
        Files.writeString(elsewhere, config.toJson().toPrettyString());
        assertEquals(config, RunConfig.read(elsewhere, List.of()));
        RunConfig bare = RunConfig.read(file("model: {actor: a}\n"), List.of("run.dir=" + folder));
        Files.writeString(elsewhere, bare.toJson().toPrettyString());
        assertEquals(bare, RunConfig.read(elsewhere, List.of()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "rollout.max_bacth=4 | rollout.max_bacth is not a known key; the nearest known one is rollout.max_batch",
        "rolout.max_batch=4 | rolout is not a known key; the nearest known one is rollout",
        "rollout.max_batch=0 | rollout.max_batch must be a whole number from 1 to 4096, not 0",
        "rollout.max_batch=many | rollout.max_batch must be a whole number",
        "rollout.temperature=-1 | rollout.temperature must be a number from 0 to 100, not -1",
        "rollout.temperature=.nan | cannot be read",
        "speculation.mode=sometimes | speculation.mode must be one of adaptive, off, fixed, not 'sometimes'",
        "speculation.drafter=medusa | speculation.drafter must be one of eagle, ngram, not 'medusa'",
        "speculation.ngram_mib=0 | speculation.ngram_mib must be a whole number from 1 to 1048576, not 0",
        "speculation.plan=9x1x9 | speculation.plan is wrong",
        "speculation.plan=4x2 | speculation.plan is wrong",
        "distill.enabled=maybe | distill.enabled must be true or false",
        "distill.weighting=none | distill.weighting must be one of reward, uniform",
        "train.iterations=1e9 | train.iterations must be a whole number",
        "train.mini_batches=1000 | train.mini_batches is 1000, more than the responses",
        "task.prompts=x.jsonl | task.held_out is missing",
        "task.arithmetic.min_operands=9 | task.arithmetic.min_operands is 9, more than max_operands",
        "run.device=gpu9 | run.device must be one of auto, cpu, cuda, emulator, not 'gpu9'",
        "run.graphs=maybe | run.graphs must be true or false",
        "run=5 | run must be a section",
        "run.seed.low=5 | reaches into seed",
        "seed | must be key=value",
        "zzz=4 | zzz is not a known key; remove it",
        "run.dir=\"a\\0b\" | run.dir must be a word or a line of text",
        "run.dir=\"a\\uD800b\" | run.dir cannot be a path here: 'a",
        "model.actor=\"\\uD800\" | model.actor cannot be a path here",
        "task.prompts=\"\\uD800\" | task.prompts cannot be a path here",
        "speculation.cost_cache=\"\\uD800\" | speculation.cost_cache cannot be a path here",
        "model.actor= | model.actor is missing"})
    void badInputIsNamed(String override, String message) throws IOException {
        Path file = file("model: {actor: a}\nrun: {seed: 3}\n");
        BadInput e = assertThrows(BadInput.class, () -> RunConfig.read(file, List.of(override)));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        // What is missing beside prompts has no value on the command line that could be wrong.
        assertTrue(e.getMessage().startsWith(message.startsWith("task.held_out") ? file + ": " : "command line: "), e.getMessage());
        assertEquals(1, e.getMessage().lines().count());
    }

    @Test
    void valuesOfTheFileAreTheFiles() throws IOException {
        Path file = file("model: {actor: a}\nrun: {seed: -3}\n");
        BadInput e = assertThrows(BadInput.class, () -> RunConfig.read(file, List.of("rollout.max_batch=4", "run.threads=1")));
        assertTrue(e.getMessage().startsWith(file + ": run.seed must be a whole number"), e.getMessage());
    }

    @Test
    void brokenFilesAreNamed() throws IOException {
        for (var broken : Map.of("run: {seed: 1", "(line 1: ", "- 1\n- 2\n", "must hold sections", "just text", "must hold sections",
            "run: {seed: 1}\nrun: {seed: 2}\n", "(line 2: Duplicate field 'run')",
            "run:\n\tseed: 1\n", "(line 2: while scanning for the next token, found character '\\t(TAB)'",
            "run:\n  seed: 1\n model: x\n", "(line 3: while parsing a block mapping, expected <block end>",
            "run: {seed: 1}\n---\nrun: {seed: 2}\n", "Trailing token").entrySet()) {
            Path file = file(broken.getKey());
            BadInput e = assertThrows(BadInput.class, () -> RunConfig.read(file, List.of()), broken.getKey());
            assertTrue(e.getMessage().startsWith(file.toString()) && e.getMessage().contains(broken.getValue()), e.getMessage());
            assertEquals(1, e.getMessage().lines().count());
        }
        BadInput e = assertThrows(BadInput.class, () -> RunConfig.read(folder, List.of()));
        assertTrue(e.getMessage().startsWith(folder + ": it is a folder"), e.getMessage());
        Path missing = folder.resolve("none.yaml");
        assertTrue(assertThrows(BadInput.class, () -> RunConfig.read(missing, List.of())).getMessage().startsWith(missing.toString()));
    }

    @Test
    void emptyPromptSetsAreRefused() throws IOException {
        Path config = RunFixture.write(folder);
        Files.writeString(folder.resolve("none.jsonl"), "\n\n");
        Files.writeString(folder.resolve("some.jsonl"), "{\"prompt\":\"1+2=\",\"answer\":\"3\"}\n");
        BadInput e = assertThrows(BadInput.class, () -> RunFixture.run(config, false, "task.prompts=none.jsonl",
            "task.held_out=some.jsonl"));
        assertTrue(e.getMessage().contains("none.jsonl") && e.getMessage().contains("empty"), e.getMessage());
        Files.writeString(folder.resolve("none.jsonl"), "{\"prompt\":\"1+2=\"}\n");
        e = assertThrows(BadInput.class, () -> RunFixture.run(config, false, "task.prompts=none.jsonl", "task.held_out=some.jsonl"));
        assertTrue(e.getMessage().contains("none.jsonl: line 1 needs the text field answer"), e.getMessage());
    }

    @Test
    void promptFilesTrain() throws IOException {
        Path config = RunFixture.write(folder);
        Files.writeString(folder.resolve("some.jsonl"),
            "{\"prompt\":\"1+2=\",\"answer\":\"3\"}\n{\"prompt\":\"15-2=\",\"answer\":\"13\"}\n");
        var summary = RunFixture.run(config, false, "task.prompts=some.jsonl", "task.held_out=some.jsonl", "train.iterations=1");
        assertEquals(2, summary.at("/eval/problems").intValue());
    }
}

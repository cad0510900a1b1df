package org.respec.engine.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.engine.BadInput;
import org.respec.engine.model.TextTokenizer;

/** Files of prompts, and what is said of those that cannot be used. */
class PromptFileTest {
    private static final String GOOD = "{\"prompt\": \"1+2=\", \"answer\": \"3\"}\n";

    @TempDir
    Path folder;

    private Path file(String text) throws IOException {
        // Every character a byte: also what is no UTF-8.
        return Files.writeString(folder.resolve("prompts.jsonl"), text, StandardCharsets.ISO_8859_1);
    }

    @Test
    void trainingGoesRoundAndBlankLinesDoNotCount() throws IOException {
        Path file = file(GOOD + "\n \n" + GOOD.replace("1", "7"));
        PromptFile prompts = new PromptFile(file, file);
        assertEquals(2, prompts.heldOutCount());
        assertEquals(List.of("1+2=", "7+2=", "1+2="), List.of(prompts.training(0).prompt(), prompts.training(1).prompt(),
            prompts.training(2).prompt()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"`` | the prompt set is empty", "` \n` | the prompt set is empty",
        "`not json` | line 2 cannot be read as JSON (Unrecognized token 'not'", "`{} {}` | line 2 cannot be read as JSON (Trailing token",
        "`[1]` | line 2 needs the text field prompt", "`{\"prompt\": \"1=\"}` | line 2 needs the text field answer",
        "`{\"prompt\": \"1=\", \"answer\": 1}` | line 2 needs the text field answer",
        "`\u00e9` | it cannot be read (it is not UTF-8 text)"})
    void whatIsWrongIsNamed(String line, String what) throws IOException {
        Path file = file(line.isBlank() ? line : GOOD + line);
        BadInput bad = assertThrows(BadInput.class, () -> new PromptFile(file, file));
        assertTrue(bad.getMessage().startsWith(file + ": " + what), bad.getMessage());
        assertEquals(1, bad.getMessage().lines().count());
    }

    @Test
    void aFileThatIsNotThereIsNamed() {
        Path none = folder.resolve("none.jsonl");
        BadInput bad = assertThrows(BadInput.class, () -> new PromptFile(none, none));
        assertTrue(bad.getMessage().startsWith(none + ": there is no such file"), bad.getMessage());
    }

    /** A prompt that the model would see something else for is refused, and not trained on. */
    @Test
    void promptsThatTheTokenizerDoesNotKnowAreRefused() throws IOException {
        Path tokens = folder.resolve("tokenizer.json");
        TextTokenizer.writeCharacterTokenizer(tokens, List.of("<pad>", "<eos>"), "0123456789+=");
        Path file = file(GOOD + GOOD.replace("1+2", "one and " + "two".repeat(40)));
        PromptFile prompts = new PromptFile(file, file);
        try (TextTokenizer tokenizer = TextTokenizer.open(tokens, 14)) {
            Task task = new Task(prompts, new ArithmeticReward(), tokenizer, List.of(1));
            assertEquals(4, task.encode(prompts.training(0)).length);
            BadInput bad = assertThrows(BadInput.class, task::maxPromptTokens);
            assertTrue(bad.getMessage().startsWith("task.prompts: the prompt 'one and two"), bad.getMessage());
            assertTrue(bad.getMessage().contains("...' has characters that the model's tokenizer does not know"), bad.getMessage());
        }
    }
}

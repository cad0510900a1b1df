package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;

/** Tokenizers of several kinds: how many tokens they have, and what they do not know. */
class TextTokenizerTest {
    @TempDir
    Path folder;

    private TextTokenizer open(String model, int vocab) throws IOException {
        Path file = Files.writeString(folder.resolve("tokenizer.json"),
            "{\"version\": \"1.0\", \"added_tokens\": [], \"model\": " + model + "}");
        return TextTokenizer.open(file, vocab);
    }

    @Test
    void aCharacterThatIsNoTokenIsUnknown() {
        Path file = folder.resolve("tokenizer.json");
        TextTokenizer.writeCharacterTokenizer(file, List.of("<pad>", "<eos>"), "ab");
        try (TextTokenizer tokenizer = TextTokenizer.open(file, 4)) {
            assertArrayEquals(new int[] {2, 3, 2}, tokenizer.encode("aba"));
            assertTrue(tokenizer.knowsAll(tokenizer.encode("aba")));
            assertFalse(tokenizer.knowsAll(tokenizer.encode("abc")));
        }
    }

    /** As Qwen's, in which token 0 is the exclamation mark: no token stands for what is unknown. */
    @Test
    void withoutAnUnknownTokenAllIsKnown() throws IOException {
        try (TextTokenizer tokenizer = open("{\"type\": \"BPE\", \"vocab\": {\"!\": 0, \"a\": 1, \"aa\": 2}, \"merges\": [\"a a\"]}", 3)) {
            assertArrayEquals(new int[] {2, 0}, tokenizer.encode("aa!"));
            assertTrue(tokenizer.knowsAll(tokenizer.encode("aa!")));
        }
    }

    @Test
    void unigramsTokensAreCounted() throws IOException {
        String model = "{\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0], [\"a\", -1], [\"b\", -2]]}";
        try (TextTokenizer tokenizer = open(model, 3)) {
            assertArrayEquals(new int[] {1, 2}, tokenizer.encode("ab"));
            assertFalse(tokenizer.knowsAll(tokenizer.encode("ac")));
        }
        BadInput bad = assertThrows(BadInput.class, () -> open(model, 5));
        assertTrue(bad.getMessage().contains("it has 3 tokens, but the model's vocab_size is 5"), bad.getMessage());
    }

    @Test
    void whatIsNoTokenizerIsNamed() throws IOException {
        for (String text : List.of("", "{", "[]", "{}", "{\"model\": {\"type\": \"Magic\", \"vocab\": {\"a\": 0, \"b\": 1}}}")) {
            Path file = Files.writeString(folder.resolve("tokenizer.json"), text);
            BadInput bad = assertThrows(BadInput.class, () -> TextTokenizer.open(file, 2), text);
            assertTrue(bad.getMessage().startsWith(file + ": it ") && !bad.getMessage().contains("REDACTED"), bad.getMessage());
            assertEquals(1, bad.getMessage().lines().count(), bad.getMessage());
        }
    }
}

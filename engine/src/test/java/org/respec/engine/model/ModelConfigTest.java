package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.engine.BadInput;

/** What {@code config.json} of an actor and of a drafter must say, and what is said of one that does not. */
class ModelConfigTest {
    private static final ModelConfig ACTOR = TestModels.actorConfig(true);
    private static final DrafterConfig DRAFTER = TestModels.drafterConfig(ACTOR);

    @TempDir
    Path folder;

    private Path file(ObjectNode json) throws IOException {
        return Files.writeString(folder.resolve("config.json"), json.toString());
    }

    /** With one field changed to {@code value}, or without it where that is {@code none}. */
    private static ObjectNode changed(ObjectNode json, String field, String value) throws IOException {
        if (value.equals("none")) {
            json.remove(field);
        } else {
            json.set(field, new JsonMapper().readValue(value, JsonNode.class));
        }
        return json;
    }

    @Test
    void whatIsWrittenIsReadAgain() throws IOException {
        assertEquals(ACTOR, ModelConfig.read(file(ACTOR.toJson())));
        ModelConfig wide = TestModels.wideConfig(300, 64);
        assertEquals(wide, ModelConfig.read(file(wide.toJson())));
        DrafterConfig read = DrafterConfig.read(file(DRAFTER.toJson()));
        assertEquals(DRAFTER.toJson(), read.toJson());
        assertEquals(List.of(1, 2, 3), read.featureLayers());
    }

    /** Keys of caches are made of it: one that is read twice is the same, in words too, and with other layers it is another. */
    @Test
    void draftersOfTheSameSizesAreEqual() throws IOException {
        DrafterConfig read = DrafterConfig.read(file(DRAFTER.toJson()));
        assertEquals(DRAFTER, read);
        assertEquals(DRAFTER.hashCode(), read.hashCode());
        assertEquals(DRAFTER.toString(), read.toString());
        DrafterConfig other = DrafterConfig.read(file(changed(DRAFTER.toJson(), "feature_layers", "[1, 2, 4]")));
        assertNotEquals(DRAFTER, other);
        assertNotEquals(DRAFTER.toString(), other.toString());
    }

    @Test
    void severalEndsOfSequenceAreKept() throws IOException {
        ModelConfig read = ModelConfig.read(file(changed(ACTOR.toJson(), "eos_token_id", "[1, 7]")));
        assertEquals(List.of(1, 7), read.eosTokenIds());
        assertEquals(read, ModelConfig.read(file(read.toJson())));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"num_key_value_heads|3|must divide num_attention_heads 4", "num_key_value_heads|5|from 1 to 4",
        "head_dim|9|must be even", "head_dim|none|is missing", "hidden_size|0|from 1 to", "vocab_size|12.5|whole number",
        "attention_bias|true|biases are not supported", "rope_scaling|{}|not supported", "eos_token_id|37|from 0 to 36",
        "hidden_act|\"gelu\"|only silu is supported", "use_sliding_window|true|only false is supported"})
    void anActorsIsRefused(String field, String value, String what) throws IOException {
        Path file = file(changed(ACTOR.toJson(), field, value));
        BadInput bad = assertThrows(BadInput.class, () -> ModelConfig.read(file));
        assertTrue(bad.getMessage().startsWith(file + ": " + field) && bad.getMessage().contains(what), bad.getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"num_key_value_heads|3|from 1 to 2", "head_dim|7|must be even",
        "feature_layers|[1, 3, 2]|three rising numbers", "feature_layers|[1, 2]|three rising numbers",
        "draft_vocab_size|36|reduced draft vocabularies"})
    void aDraftersIsRefused(String field, String value, String what) throws IOException {
        Path file = file(changed(DRAFTER.toJson(), field, value));
        BadInput bad = assertThrows(BadInput.class, () -> DrafterConfig.read(file));
        assertTrue(bad.getMessage().startsWith(file + ": " + field) && bad.getMessage().contains(what), bad.getMessage());
    }

    @Test
    void tensorsThatNoMemoryHoldsAreRefused() throws IOException {
        ObjectNode json = changed(changed(ACTOR.toJson(), "hidden_size", "131072"), "vocab_size", "1048576");
        Path file = file(json);
        BadInput bad = assertThrows(BadInput.class, () -> ModelConfig.read(file));
        assertTrue(bad.getMessage().contains("hidden_size is 131072, with which model.embed_tokens.weight would be 1048576 x 131072"),
            bad.getMessage());
    }

    @Test
    void aFileThatIsNotThereIsNamed() {
        Path none = folder.resolve("none.json");
        assertTrue(assertThrows(BadInput.class, () -> ModelConfig.read(none)).getMessage().startsWith(none + ": "));
    }
}

package org.respec.engine.model;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.kernels.AttentionShape;

/** Typed, range-checked access to one JSON file's top-level fields, with messages that name file and field. */
final class JsonFields {
    /** Configuration files are small; one that is not is not a configuration file. */
    private static final long MAX_BYTES = 1 << 20;
    static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(32).maxNumberLength(64).build()).build()).build();

    private final Path file;
    private final JsonNode root;

    private JsonFields(Path file, JsonNode root) {
        this.file = file;
        this.root = root;
    }

    static JsonFields read(Path file) {
        try {
            if (!SafeFiles.isFile(file)) {
                throw new BadInput(file + ": there is no such file; name a folder with a model in Hugging Face form.");
            }
            if (Files.size(file) > MAX_BYTES) {
                throw new BadInput(file + ": " + Files.size(file) + " bytes are too many for a configuration; give one under 1 MiB.");
            }
            JsonNode root = MAPPER.readTree(Files.readAllBytes(file));
            if (root == null || !root.isObject()) {
                throw new BadInput(file + ": it must hold one JSON object.");
            }
            return new JsonFields(file, root);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read as JSON (" + Reason.of(e) + "); mend it.", e);
        }
    }

    BadInput bad(String field, String what) {
        return new BadInput(file + ": " + field + " " + what + ".");
    }

    boolean has(String field) {
        return root.hasNonNull(field);
    }

    private JsonNode required(String field) {
        JsonNode node = root.get(field);
        if (node == null || node.isNull()) {
            throw bad(field, "is missing; add it");
        }
        return node;
    }

    int integer(String field, int min, int max) {
        JsonNode node = required(field);
        if (!node.isIntegralNumber() || !node.canConvertToInt() || node.intValue() < min || node.intValue() > max) {
            throw bad(field, "must be a whole number from " + min + " to " + max + ", not " + node);
        }
        return node.intValue();
    }

    double number(String field, double min, double max) {
        JsonNode node = required(field);
        if (!node.isNumber() || !(node.doubleValue() >= min && node.doubleValue() <= max)) {
            throw bad(field, "must be a number from " + min + " to " + max + ", not " + node);
        }
        return node.doubleValue();
    }

    boolean flag(String field, boolean otherwise) {
        if (!has(field)) {
            return otherwise;
        }
        if (!root.get(field).isBoolean()) {
            throw bad(field, "must be true or false, not " + root.get(field));
        }
        return root.get(field).booleanValue();
    }

    /** A whole number or a list of them. */
    List<Integer> integers(String field, int min, int max) {
        JsonNode node = required(field);
        List<Integer> values = new ArrayList<>();
        for (JsonNode each : node.isArray() ? node : List.of(node)) {
            if (!each.isIntegralNumber() || !each.canConvertToInt() || each.intValue() < min || each.intValue() > max) {
                throw bad(field, "must hold whole numbers from " + min + " to " + max + ", not " + each);
            }
            values.add(each.intValue());
        }
        return List.copyOf(values);
    }

    void architecture(String wanted) {
        JsonNode node = required("architectures");
        if (!node.isArray() || node.size() != 1 || !node.get(0).asText().equals(wanted)) {
            throw bad("architectures", "is " + node + "; only [\"" + wanted + "\"] is supported here");
        }
    }

    /** Refuses a field that would change what is computed. */
    void mustBeAbsent(String field, String why) {
        if (has(field)) {
            throw bad(field, "is " + root.get(field) + ", but " + why + "; remove it");
        }
    }

    /** Refuses a field that is there and says something else, since it would change what is computed. */
    void mustSay(String field, String value) {
        if (has(field) && !root.get(field).asText().equals(value)) {
            throw bad(field, "is " + root.get(field) + ", but only " + value + " is supported; use another model");
        }
    }

    /** Numbers and size of attention heads, under their usual names. */
    AttentionShape attention() {
        int heads = integer("num_attention_heads", 1, 1024);
        int kvHeads = integer("num_key_value_heads", 1, heads);
        if (heads % kvHeads != 0) {
            throw bad("num_key_value_heads", "is " + kvHeads + ", which must divide num_attention_heads " + heads);
        }
        int headDim = integer("head_dim", 2, 1024);
        if (headDim % 2 != 0) {
            throw bad("head_dim", "is " + headDim + ", which must be even");
        }
        return new AttentionShape(heads, kvHeads, headDim);
    }
}

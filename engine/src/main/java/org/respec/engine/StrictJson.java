package org.respec.engine;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * An object of a JSON file, read strictly: each field is asked for by name with its range, and {@link #finish} refuses what was never
 * asked for. Whatever is wrong ends in a {@link BadInput} that names file, field and fault.
 */
public final class StrictJson {
    private static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(32).maxNumberLength(64).build()).build())
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();
    /** Characters of a value that a message quotes. */
    private static final int QUOTED = 60;

    private final String source;
    private final String path;
    private final JsonNode node;
    private final List<String> known = new ArrayList<>();

    private StrictJson(String source, String path, JsonNode node) {
        this.source = source;
        this.path = path;
        this.node = node;
    }

    /**
     * The object that a file holds.
     *
     * @param what the kind of file, for messages: {@code a profile}
     */
    public static StrictJson read(Path file, long maxBytes, String what) {
        return parse(file.toString(), bytes(file, maxBytes, what));
    }

    /** The bytes of a file that must be there and not too large. */
    public static byte[] bytes(Path file, long maxBytes, String what) {
        try {
            if (!SafeFiles.isFile(file)) {
                throw new BadInput(file + ": there is no such file; name " + what + ".");
            }
            if (Files.size(file) > maxBytes) {
                throw new BadInput(file + ": " + Files.size(file) + " bytes are too many for " + what + "; give at most " + maxBytes + ".");
            }
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + Reason.of(e) + "); check permissions.", e);
        }
    }

    /**
     * The object that some bytes hold.
     *
     * @param source where they are from, for messages: a file, or a file and a line
     */
    public static StrictJson parse(String source, byte[] bytes) {
        try {
            JsonNode root = MAPPER.readTree(bytes);
            if (root == null || !root.isObject()) {
                throw new BadInput(source + ": it must hold one JSON object.");
            }
            return new StrictJson(source, "", root);
        } catch (IOException e) {
            throw new BadInput(source + ": it cannot be read as JSON (" + shown(Reason.of(e), 200) + "); mend it.", e);
        }
    }

    private static String shown(String text, int most) {
        String plain = text.replaceAll("\\p{Cntrl}", "?");
        return plain.length() <= most ? plain : plain.substring(0, most) + "...";
    }

    /** A message about a field. */
    public BadInput bad(String field, String what) {
        return new BadInput(source + ": " + path + shown(field, QUOTED) + " " + what + ".");
    }

    private BadInput wrong(String field, String wanted, JsonNode value) {
        return bad(field, "must " + wanted + ", not " + shown(value.toString(), QUOTED));
    }

    /** Whether a field is there; null counts as absent. */
    public boolean has(String field) {
        known.add(field);
        return node.hasNonNull(field);
    }

    private JsonNode required(String field) {
        if (!has(field)) {
            // A mistyped field is the likelier mistake; say that instead where it is so.
            finish();
            throw bad(field, "is missing; add it");
        }
        return node.get(field);
    }

    /** Tells {@link #finish} of fields that are read later, or only sometimes. */
    public StrictJson knows(String... fields) {
        known.addAll(List.of(fields));
        return this;
    }

    /** A whole number from {@code min} to {@code max}. */
    public int integer(String field, int min, int max) {
        JsonNode value = required(field);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < min || value.intValue() > max) {
            throw wrong(field, "be a whole number from " + min + " to " + max, value);
        }
        return value.intValue();
    }

    /** A number from {@code min} to {@code max}. */
    public double number(String field, double min, double max) {
        JsonNode value = required(field);
        if (!value.isNumber() || !(value.doubleValue() >= min && value.doubleValue() <= max)) {
            throw wrong(field, "be a number from " + plain(min) + " to " + plain(max), value);
        }
        return value.doubleValue();
    }

    private static String plain(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15 ? Long.toString((long) value) : Double.toString(value);
    }

    /** Text, which may be empty. */
    public String text(String field) {
        JsonNode value = required(field);
        if (!value.isTextual()) {
            throw wrong(field, "be text", value);
        }
        return value.textValue();
    }

    /** Objects in a list that is not empty, whose messages say {@code field[i].}. */
    public List<StrictJson> objects(String field, int most) {
        List<StrictJson> objects = new ArrayList<>();
        for (JsonNode each : list(field, most)) {
            String name = field + "[" + objects.size() + "]";
            if (!each.isObject()) {
                throw wrong(name, "be an object", each);
            }
            objects.add(new StrictJson(source, path + name + ".", each));
        }
        return objects;
    }

    /** Rows of numbers from {@code min} to {@code max}, in a list that is not empty; a number alone is a row of one. */
    public double[][] rows(String field, int mostRows, int mostNumbers, double min, double max) {
        JsonNode list = list(field, mostRows);
        double[][] rows = new double[list.size()][];
        for (int i = 0; i < rows.length; i++) {
            JsonNode row = list.get(i);
            String name = field + "[" + i + "]";
            if (row.isArray() && (row.isEmpty() || row.size() > mostNumbers)) {
                throw bad(name, "must hold 1 to " + mostNumbers + " numbers, not " + row.size());
            }
            rows[i] = new double[row.isArray() ? row.size() : 1];
            for (int j = 0; j < rows[i].length; j++) {
                JsonNode value = row.isArray() ? row.get(j) : row;
                if (!value.isNumber() || !(value.doubleValue() >= min && value.doubleValue() <= max)) {
                    throw wrong(name + (row.isArray() ? "[" + j + "]" : ""), "be a number from " + plain(min) + " to " + plain(max), value);
                }
                rows[i][j] = value.doubleValue();
            }
        }
        return rows;
    }

    private JsonNode list(String field, int most) {
        JsonNode list = required(field);
        if (!list.isArray()) {
            throw wrong(field, "be a list", list);
        }
        if (list.isEmpty() || list.size() > most) {
            throw bad(field, "must hold 1 to " + most + " entries, not " + list.size());
        }
        return list;
    }

    /** Refuses fields that were never asked for, naming the nearest that is known. */
    public void finish() {
        node.fieldNames().forEachRemaining(field -> {
            if (!known.contains(field)) {
                String nearest = NearestWord.of(shown(field, QUOTED), known);
                throw bad(field, "is not a known field; " + (nearest == null ? "remove it" : "the nearest known one is " + path + nearest));
            }
        });
    }
}

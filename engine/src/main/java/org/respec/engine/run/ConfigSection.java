package org.respec.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.respec.engine.BadInput;
import org.respec.engine.NearestWord;

/**
 * One section of a configuration, read strictly: each value is asked for by key with its default and range, and {@link #finish}
 * refuses what was never asked for.
 */
public final class ConfigSection {
    private final String source;
    private final Set<String> overridden;
    private final String path;
    private final ObjectNode node;
    private final List<String> known = new ArrayList<>();

    /**
     * @param source the file that values are from, but for those that {@code overridden} names
     * @param overridden key paths whose values are from the command line
     * @param path of the section: empty, or with a point at its end
     */
    ConfigSection(String source, Set<String> overridden, String path, ObjectNode node) {
        this.source = source;
        this.overridden = overridden;
        this.path = path;
        this.node = node;
    }

    /** A message about a key of this section. */
    public BadInput bad(String key, String what) {
        String whole = path + key;
        boolean given = overridden.stream().anyMatch(each -> each.equals(whole) || each.startsWith(whole + "."));
        return new BadInput((given ? "command line" : source) + ": " + whole + " " + what + ".");
    }

    /** Whether the key is there. */
    public boolean has(String key) {
        known.add(key);
        return node.hasNonNull(key);
    }

    private JsonNode value(String key) {
        known.add(key);
        JsonNode value = node.get(key);
        return value == null || value.isNull() ? null : value;
    }

    /** The section under a key, empty where there is none. */
    public ConfigSection section(String key) {
        JsonNode value = value(key);
        if (value == null) {
            return new ConfigSection(source, overridden, path + key + ".", JsonNodeFactory.instance.objectNode());
        }
        if (!value.isObject()) {
            throw bad(key, "must be a section of keys and values, not " + value);
        }
        return new ConfigSection(source, overridden, path + key + ".", (ObjectNode) value);
    }

    /** A whole number from {@code min} to {@code max}, or {@code otherwise} where there is none. */
    public int integer(String key, int otherwise, int min, int max) {
        return (int) whole(key, otherwise, min, max);
    }

    /** A whole number from {@code min} to {@code max}, or {@code otherwise} where there is none. */
    public long whole(String key, long otherwise, long min, long max) {
        JsonNode value = value(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < min || value.longValue() > max) {
            throw bad(key, "must be a whole number from " + min + " to " + max + ", not " + value);
        }
        return value.longValue();
    }

    /** A number from {@code min} to {@code max}, or {@code otherwise} where there is none. */
    public double number(String key, double otherwise, double min, double max) {
        JsonNode value = value(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isNumber() || !(value.doubleValue() >= min && value.doubleValue() <= max)) {
            throw bad(key, "must be a number from " + plain(min) + " to " + plain(max) + ", not " + value);
        }
        return value.doubleValue();
    }

    private static String plain(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15 ? Long.toString((long) value) : Double.toString(value);
    }

    /** True or false, or {@code otherwise} where there is neither. */
    public boolean flag(String key, boolean otherwise) {
        JsonNode value = value(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isBoolean()) {
            throw bad(key, "must be true or false, not " + value);
        }
        return value.booleanValue();
    }

    /** Text, or {@code otherwise}, which may be null. */
    public String text(String key, String otherwise) {
        JsonNode value = value(key);
        if (value == null) {
            return otherwise;
        }
        // YAML reads a bare off, no or 1 as something else; whoever wrote it meant the word.
        if (value.isBoolean()) {
            return value.booleanValue() ? "on" : "off";
        }
        if (!value.isValueNode() || value.asText().isBlank() || value.asText().indexOf('\0') >= 0) {
            throw bad(key, "must be a word or a line of text, not " + value);
        }
        return value.asText();
    }

    /**
     * A path, or null where there is none.
     *
     * @param otherwise the path where the key is missing, or null
     * @param base where relative ones begin; empty for the working folder
     */
    public Path path(String key, String otherwise, Path base) {
        String text = text(key, otherwise);
        try {
            return text == null ? null : base.resolve(text);
        } catch (InvalidPathException e) {
            throw bad(key, "cannot be a path here: '" + text + "' (" + e.getReason() + "); name another, or run in a UTF-8 locale such as"
                + " LC_ALL=C.UTF-8");
        }
    }

    /** {@link #path} of a key that may be missing, without {@code .} and {@code ..} in it. */
    Path normalPath(String key, Path base) {
        Path path = path(key, null, base);
        return path == null ? null : path.normalize();
    }

    /** One of some words. */
    public String choice(String key, String otherwise, String... words) {
        String text = text(key, otherwise);
        for (String word : words) {
            if (word.equals(text)) {
                return text;
            }
        }
        throw bad(key, "must be one of " + String.join(", ", words) + ", not '" + text + "'");
    }

    /** Whole numbers in a list. */
    public List<Integer> integers(String key, List<Integer> otherwise, int min, int max) {
        JsonNode value = value(key);
        if (value == null) {
            return otherwise;
        }
        List<Integer> numbers = new ArrayList<>();
        if (!value.isArray()) {
            throw bad(key, "must be a list of whole numbers, not " + value);
        }
        for (JsonNode each : value) {
            if (!each.isIntegralNumber() || !each.canConvertToInt() || each.intValue() < min || each.intValue() > max) {
                throw bad(key, "must hold whole numbers from " + min + " to " + max + ", not " + each);
            }
            numbers.add(each.intValue());
        }
        return List.copyOf(numbers);
    }

    /** Refuses keys that were never asked for, naming the nearest that is known. */
    public void finish() {
        node.fieldNames().forEachRemaining(key -> {
            if (!known.contains(key)) {
                String nearest = NearestWord.of(key, known);
                throw bad(key, "is not a known key; " + (nearest == null ? "remove it" : "the nearest known one is " + path + nearest));
            }
        });
    }
}

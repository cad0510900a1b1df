package org.respec.engine.run;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.respec.engine.BadInput;

/** Reads a YAML configuration and lays {@code key.path=value} overrides over it. */
final class ConfigFile {
    private static final long MAX_BYTES = 1 << 20;
    private static final YAMLMapper YAML = new YAMLMapper(YAMLFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .build());

    private ConfigFile() {
    }

    /** The root section of {@code file} with {@code overrides}. */
    static ConfigSection read(Path file, List<String> overrides) {
        ObjectNode root = parse(file);
        for (String override : overrides) {
            apply(root, override);
        }
        return new ConfigSection(file.toString(), "", root);
    }

    private static ObjectNode parse(Path file) {
        try {
            if (!Files.isRegularFile(file)) {
                throw new BadInput(file + ": there is no such file; name a YAML configuration such as tools/examples/quickstart.yaml.");
            }
            if (Files.size(file) > MAX_BYTES) {
                throw new BadInput(file + ": " + Files.size(file) + " bytes are too many for a configuration; give one under 1 MiB.");
            }
            JsonNode root = YAML.readTree(file.toFile());
            if (root == null || root.isMissingNode() || root.isNull()) {
                return JsonNodeFactory.instance.objectNode();
            }
            if (!root.isObject()) {
                throw new BadInput(file + ": it must hold sections of keys and values.");
            }
            return (ObjectNode) root;
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read as YAML (" + firstLine(e) + "); mend it.", e);
        }
    }

    private static void apply(ObjectNode root, String override) {
        int equals = override.indexOf('=');
        if (equals < 1) {
            throw new BadInput("command line: '" + override + "' must be key=value, like run.seed=7.");
        }
        String[] path = override.substring(0, equals).trim().split("\\.", -1);
        ObjectNode at = root;
        for (int i = 0; i < path.length - 1; i++) {
            JsonNode child = at.get(path[i]);
            if (child == null || child.isNull()) {
                child = at.putObject(path[i]);
            }
            if (!child.isObject()) {
                throw new BadInput("command line: '" + override + "' reaches into " + path[i] + ", which is a value; name a section.");
            }
            at = (ObjectNode) child;
        }
        String text = override.substring(equals + 1);
        try {
            JsonNode value = text.isBlank() ? JsonNodeFactory.instance.nullNode() : YAML.readTree(text);
            at.set(path[path.length - 1], value);
        } catch (IOException e) {
            throw new BadInput("command line: the value in '" + override + "' cannot be read (" + firstLine(e) + "); quote it.", e);
        }
    }

    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }
}

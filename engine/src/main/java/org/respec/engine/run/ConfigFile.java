package org.respec.engine.run;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/** Reads a YAML configuration and lays {@code key.path=value} overrides over it. */
final class ConfigFile {
    private static final long MAX_BYTES = 1 << 20;
    private static final YAMLMapper YAML = YAMLMapper.builder(YAMLFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .build()).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

    private ConfigFile() {
    }

    /** The root section of {@code file} with {@code overrides}. */
    static ConfigSection read(Path file, List<String> overrides) {
        ObjectNode root = parse(file);
        Set<String> overridden = new HashSet<>();
        for (String override : overrides) {
            overridden.add(apply(root, override));
        }
        return new ConfigSection(file.toString(), overridden, "", root);
    }

    private static ObjectNode parse(Path file) {
        try {
            if (SafeFiles.isFolder(file)) {
                throw new BadInput(file + ": it is a folder; name a YAML configuration in it.");
            }
            if (!SafeFiles.isFile(file)) {
                throw new BadInput(file + ": there is no such file; name a YAML configuration such as tools/examples/quickstart.yaml.");
            }
            if (Files.size(file) > MAX_BYTES) {
                throw new BadInput(file + ": " + Files.size(file) + " bytes are too many for a configuration; give one under 1 MiB.");
            }
            JsonNode root = YAML.readTree(Files.readAllBytes(file));
            if (root == null || root.isMissingNode() || root.isNull()) {
                return JsonNodeFactory.instance.objectNode();
            }
            if (!root.isObject()) {
                throw new BadInput(file + ": it must hold sections of keys and values.");
            }
            return (ObjectNode) root;
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read as YAML (" + Reason.of(e) + "); mend it.", e);
        }
    }

    /** Returns the key path that the override sets. */
    private static String apply(ObjectNode root, String override) {
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
            return String.join(".", path);
        } catch (IOException e) {
            throw new BadInput("command line: the value in '" + override + "' cannot be read (" + Reason.of(e) + "); quote it.", e);
        }
    }
}

package org.respec.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/**
 * What differs between the config that a run was last started with and the one it is resumed with. What only sets how fast and how long it
 * goes on may differ; what says what is drawn or learnt may not, for the run would be neither the one nor the other.
 */
final class ConfigChanges {
    /** Keys that may differ, and sections whose keys all may; all others are refused. */
    static final Set<String> FREE = Set.of("run.device", "run.threads", "run.graphs", "run.dtype",
        // Looked at by what is in them; see RunOrigins.
        "model.actor", "model.drafter", "task.prompts", "task.held_out",
        "train.iterations", "train.micro_batch_tokens", "train.checkpoint_every", "train.keep_checkpoints", "train.checkpoint_activations",
        "train.moments", "rollout.max_batch", "rollout.page_size", "rollout.kv_pages", "rollout.release_kv", "speculation",
        "distill.overlap", "distill.lag", "distill.threads", "distill.timeout_seconds", "distill.health_steps",
        "eval.every", "eval.comparison");
    /** A run folder may have been moved. */
    private static final String FOLDER = "run.dir";
    private static final JsonMapper JSON = new JsonMapper();

    private ConfigChanges() {
    }

    private record Change(String key, JsonNode before, JsonNode now) {
        boolean free() {
            return FREE.contains(key) || FREE.contains(key.substring(0, key.indexOf('.')));
        }
    }

    /**
     * Sentences to say of keys that differ; none where nothing does, or nothing is known of an earlier start.
     *
     * @param file the earlier config; a key that it lacks, as one of another version may, counts as the same
     * @throws BadInput for keys that may not differ, naming them and both values
     */
    static List<String> since(Path file, RunConfig config) {
        if (!SafeFiles.exists(file)) {
            return List.of();
        }
        TreeMap<String, JsonNode> before = new TreeMap<>();
        TreeMap<String, JsonNode> now = new TreeMap<>();
        try {
            flatten("", JSON.readTree(Files.readAllBytes(file)), before);
            // Read back from text, as the other was: numbers then have the same types.
            flatten("", JSON.readTree(JSON.writeValueAsBytes(config.toJson())), now);
        } catch (IOException e) {
            throw new BadInput(file + ": the config that the run began with cannot be read (" + Reason.of(e) + "); mend it.", e);
        }
        List<Change> changes = new ArrayList<>();
        now.forEach((key, value) -> {
            JsonNode old = before.get(key);
            if (old != null && !old.equals(value) && !key.equals(FOLDER)) {
                changes.add(new Change(key, old, value));
            }
        });
        String refused = changes.stream().filter(change -> !change.free())
            .map(change -> change.key + " was " + text(change.before) + " and is now " + text(change.now))
            .collect(Collectors.joining(", "));
        if (!refused.isEmpty()) {
            throw new BadInput(file + ": " + refused + ", which would change what the run draws or learns; set it back, or begin a new"
                + " run in another run.dir.");
        }
        return changes.isEmpty() ? List.of() : List.of("goes on with " + changes.stream()
            .map(change -> change.key + " " + text(change.now) + " in place of " + text(change.before)).collect(Collectors.joining(", ")));
    }

    private static void flatten(String path, JsonNode node, TreeMap<String, JsonNode> into) {
        if (node instanceof ObjectNode section) {
            String before = path.isEmpty() ? "" : path + ".";
            section.properties().forEach(each -> flatten(before + each.getKey(), each.getValue(), into));
        } else {
            into.put(path, node);
        }
    }

    private static String text(JsonNode value) {
        return value instanceof NullNode ? "none" : value.asText();
    }
}

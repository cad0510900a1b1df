package org.respec.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.model.Actor;

/**
 * Files that a run reads again when it is resumed, by their checksums, which checkpoints keep: they may lie elsewhere by then, as on
 * another machine, but not have changed.
 */
final class RunOrigins {
    private static final String FIELD = "origins";

    /** @param key of the config that says where it is */
    private record Origin(String name, String key, Path place, String sha256) {
    }

    private final List<Origin> origins = new ArrayList<>();

    /** @param actor as it was loaded; its weights are an origin where they are what a KL term holds to */
    RunOrigins(RunConfig config, Actor actor) {
        Path folder = config.model().actor();
        addFile("tokenizer", "model.actor", folder.resolve("tokenizer.json"));
        if (config.train().klCoefficient() != 0) {
            origins.add(new Origin("reference", "model.actor", folder, actor.weights().sha256()));
        }
        if (config.task().prompts() != null) {
            addFile("prompts", "task.prompts", config.task().prompts());
            addFile("held_out", "task.held_out", config.task().heldOut());
        }
    }

    private void addFile(String name, String key, Path file) {
        try {
            origins.add(new Origin(name, key, file, CheckpointStore.sha256(file)));
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + Reason.of(e) + "); check permissions.", e);
        }
    }

    /** Adds the checksums to a checkpoint's state. */
    void describe(ObjectNode state) {
        ObjectNode json = state.putObject(FIELD);
        origins.forEach(origin -> json.put(origin.name, origin.sha256));
    }

    /** Refuses a checkpoint of a run that began from something else. */
    void require(JsonNode state) {
        JsonNode json = state.path(FIELD);
        if (!json.isObject()) {
            // A version before this wrote none.
            return;
        }
        for (Origin origin : origins) {
            if (!origin.sha256.equals(json.path(origin.name).textValue())) {
                throw new BadInput(origin.place + ": it is not what the run began with; set " + origin.key
                    + " back to that, or begin a new run in another run.dir.");
            }
        }
        if (json.has("prompts") && origins.stream().noneMatch(origin -> origin.name.equals("prompts"))) {
            throw new BadInput("task.prompts: the run began with problems from files, and is now to go on with others; set it back, or"
                + " begin a new run in another run.dir.");
        }
    }
}

package org.respec.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ModelFiles;
import org.respec.engine.model.TensorSpec;
import org.respec.kernels.DType;

/**
 * What a run leaves to be used: its actor and, where one is taught, its drafter, as folders in Hugging Face form. Weights are written in
 * the type that the run computes in.
 */
public final class TrainedModels {
    /** Folder of the actor, under a run's own or an export's. */
    public static final String ACTOR = "actor";
    /** Folder of the drafter. */
    public static final String DRAFTER = "drafter";
    private static final String TOKENIZER = "tokenizer.json";
    private static final String ACTOR_CONFIG = "actor.json";
    private static final String DRAFTER_CONFIG = "drafter.json";
    private static final String DTYPE = "dtype";

    private TrainedModels() {
    }

    /** Where a run writes its models. */
    static List<Path> folders(Path run) {
        return List.of(run.resolve(ACTOR), run.resolve(DRAFTER));
    }

    /** A model's weights as floats in the order of {@code specs}, and what it takes to read them. */
    private record Source(ObjectNode config, List<TensorSpec> specs, Consumer<Consumer<MemorySegment>> values, DType dtype) {
        /** @param tokenizer null for none */
        Path write(Path folder, byte[] tokenizer) {
            try {
                SafeFiles.writeFolder(folder, temporary -> {
                    ModelFiles.write(temporary, config, specs, values, dtype);
                    if (tokenizer != null) {
                        SafeFiles.write(temporary.resolve(TOKENIZER), tokenizer);
                    }
                });
                return folder;
            } catch (IOException e) {
                throw new BadInput(folder + ": a model cannot be written there (" + Reason.of(e) + "); check space and permissions.", e);
            }
        }
    }

    /** Writes the models that a run has come to into its folder. */
    static void write(RunParts parts) {
        Path folder = parts.folder.path();
        new Source(parts.actor.config().toJson(), parts.actor.weights().specs(), parts.actor.weights()::read, parts.actor.dtype())
            .write(folder.resolve(ACTOR), parts.tokenizer);
        if (parts.online != null) {
            new Source(parts.drafter.config().toJson(), parts.drafter.weights().specs(), parts.drafter.weights()::read,
                parts.drafter.dtype()).write(folder.resolve(DRAFTER), null);
        }
    }

    // ------------------------------------------------------------------------------------------------------ checkpoints

    /** The tokenizer's file of an actor. */
    static byte[] tokenizer(Path actor) {
        try {
            return Files.readAllBytes(actor.resolve(TOKENIZER));
        } catch (IOException e) {
            throw new BadInput(actor.resolve(TOKENIZER) + ": it cannot be read (" + Reason.of(e) + "); check permissions.", e);
        }
    }

    /** Adds to a checkpoint's parts and state what it takes to make models of its weights. */
    static void describe(RunParts parts, CheckpointStore.Parts out) {
        out.add(TOKENIZER, parts.tokenizer);
        out.add(ACTOR_CONFIG, bytes(parts.actor.config().toJson()));
        if (parts.online != null) {
            out.add(DRAFTER_CONFIG, bytes(parts.drafter.config().toJson()));
        }
    }

    /** The same for its state. */
    static void describe(RunParts parts, ObjectNode state) {
        state.put(DTYPE, parts.actor.dtype().name().toLowerCase(Locale.ROOT));
    }

    /** Refuses to go on from a checkpoint with models of another shape or kind than it is of. */
    static void requireSame(RunParts parts, CheckpointStore.Checkpoint checkpoint) {
        if (checkpoint.has(ACTOR_CONFIG)) {
            requireSame("model.actor", ModelConfig.read(checkpoint.path().resolve(ACTOR_CONFIG)), parts.actor.config());
        }
        if (checkpoint.has(DRAFTER_CONFIG) && parts.online != null) {
            requireSame("model.drafter", DrafterConfig.read(checkpoint.path().resolve(DRAFTER_CONFIG)), parts.drafter.config());
        }
    }

    private static void requireSame(String key, Record before, Record now) {
        if (!before.equals(now)) {
            throw new BadInput(key + ": its config.json is not that of the model the run began with (" + now + ", and not " + before
                + "); set it back, or begin a new run in another run.dir.");
        }
    }

    private static byte[] bytes(ObjectNode json) {
        return json.toPrettyString().getBytes(StandardCharsets.UTF_8);
    }

    /**
     * Makes model folders of a checkpoint, for instance of a run that was killed.
     *
     * @param run its folder
     * @param iteration of the checkpoint; null for the newest that is whole
     * @param output folder to make the models' in
     * @param says told in a sentence of each checkpoint that is passed over
     * @return the folders written
     * @throws BadInput if there is no such run or checkpoint, or the folder cannot be written
     */
    public static List<Path> export(Path run, Integer iteration, Path output, Consumer<String> says) {
        CheckpointStore.Checkpoint checkpoint = checkpoint(run, iteration, says);
        JsonNode dtype = checkpoint.state().path(DTYPE);
        if (!dtype.isTextual() || !checkpoint.has(TOKENIZER)) {
            throw new BadInput(checkpoint.path() + ": it was written by a version whose checkpoints do not say what models they are of;"
                + " go on with the run by train --resume, which writes them at its end.");
        }
        DType type = DType.valueOf(dtype.textValue().toUpperCase(Locale.ROOT));
        ModelConfig actor = ModelConfig.read(checkpoint.path().resolve(ACTOR_CONFIG));
        byte[] tokenizer = tokenizer(checkpoint.path());
        try {
            Files.createDirectories(output);
        } catch (IOException e) {
            throw new BadInput(output + ": the folder cannot be made (" + Reason.of(e) + "); name one that can.", e);
        }
        List<Path> written = new ArrayList<>();
        written.add(source(checkpoint, "actor.weights", actor.toJson(), actor.tensors(), type).write(output.resolve(ACTOR), tokenizer));
        if (checkpoint.has(DRAFTER_CONFIG)) {
            DrafterConfig drafter = DrafterConfig.read(checkpoint.path().resolve(DRAFTER_CONFIG));
            written.add(source(checkpoint, OnlineDrafter.partInUse(checkpoint.state().path("drafter")), drafter.toJson(), drafter.tensors(),
                type).write(output.resolve(DRAFTER), null));
        }
        return written;
    }

    private static CheckpointStore.Checkpoint checkpoint(Path run, Integer iteration, Consumer<String> says) {
        Path folder = RunCheckpoints.folder(run);
        if (!SafeFiles.isFolder(folder)) {
            throw new BadInput(run + ": there is no run with checkpoints in this folder; name one that train has written to, after"
                + " train.checkpoint_every iterations.");
        }
        CheckpointStore store = new CheckpointStore(folder, 1);
        return iteration != null ? store.of(iteration) : store.latest(says).orElseThrow(() -> new BadInput(folder
            + ": the run has no checkpoint yet; wait for train.checkpoint_every iterations."));
    }

    private static Source source(CheckpointStore.Checkpoint checkpoint, String part, ObjectNode config, List<TensorSpec> specs,
                                 DType dtype) {
        if (checkpoint.bytes(part) != Float.BYTES * TensorSpec.elements(specs)) {
            throw new BadInput(checkpoint.path() + ": part " + part + " has " + checkpoint.bytes(part) + " bytes and not the "
                + Float.BYTES * TensorSpec.elements(specs) + " of its model; name another checkpoint.");
        }
        return new Source(config, specs, sink -> checkpoint.stream(part, sink), dtype);
    }
}

package org.respec.engine.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;

/**
 * An actor, its tokenizer and, if there is one, its drafter, read from Hugging Face folders and ready to run.
 *
 * @param drafter null if no drafter was asked for
 */
public record LoadedModel(Ops ops, Actor actor, TextTokenizer tokenizer, Drafter drafter) implements AutoCloseable {
    /**
     * Reads {@code config.json}, {@code model.safetensors} and {@code tokenizer.json} of an actor, and the first two of a drafter, to
     * compute with in F32.
     *
     * @param drafterFolder null for none
     * @throws BadInput for anything wrong with the files, or if they do not fit each other
     */
    public static LoadedModel load(Ops ops, Path actorFolder, Path drafterFolder) {
        return load(ops, actorFolder, drafterFolder, DType.F32, true);
    }

    /**
     * The same in a type of choice.
     *
     * @param dtype F32 or BF16: of weights in use, activations and caches
     * @param trained whether weights will be trained, and so be kept in F32 too
     * @throws BadInput also if the device does not store that type
     */
    public static LoadedModel load(Ops ops, Path actorFolder, Path drafterFolder, DType dtype, boolean trained) {
        if (!ops.stores(dtype)) {
            throw new BadInput("run.dtype: " + ops.device() + " cannot compute in " + dtype.name().toLowerCase(Locale.ROOT)
                + "; set run.dtype=f32 (or --dtype f32).");
        }
        DType kept = trained ? DType.F32 : dtype;
        ModelConfig config = ModelConfig.read(actorFolder.resolve("config.json"));
        TextTokenizer tokenizer = TextTokenizer.open(actorFolder.resolve("tokenizer.json"), config.vocabSize());
        Actor actor = new Actor(ops, config, weights(ops, "actor weights", config.tensors(), kept, actorFolder), dtype);
        actor.publish();
        if (drafterFolder == null) {
            return new LoadedModel(ops, actor, tokenizer, null);
        }
        DrafterConfig draftConfig = DrafterConfig.read(drafterFolder.resolve("config.json"));
        draftConfig.checkFits(config, drafterFolder.resolve("config.json"));
        Drafter drafter = new Drafter(ops, draftConfig,
            weights(ops, "drafter weights", draftConfig.tensors(), kept, drafterFolder), actor);
        drafter.publish();
        return new LoadedModel(ops, actor, tokenizer, drafter);
    }

    private static ParameterSet weights(Ops ops, String name, List<TensorSpec> specs, DType dtype, Path folder) {
        ParameterSet set = new ParameterSet(ops, name, specs, dtype);
        ModelFiles.read(folder, set);
        return set;
    }

    /** A second actor with the same weights: a frozen reference. The caller closes it. */
    public Actor copyOfActor() {
        ParameterSet copy = new ParameterSet(ops, "reference weights", actor.weights().specs(), actor.dtype());
        copy.copyFrom(actor.weights());
        Actor reference = new Actor(ops, actor.config(), copy);
        reference.publish();
        return reference;
    }

    @Override
    public void close() {
        if (drafter != null) {
            drafter.close();
        }
        actor.close();
        tokenizer.close();
    }
}

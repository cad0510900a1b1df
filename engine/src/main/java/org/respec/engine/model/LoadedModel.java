package org.respec.engine.model;

import java.nio.file.Path;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.kernels.Ops;

/**
 * An actor, its tokenizer and, if there is one, its drafter, read from Hugging Face folders and ready to run.
 *
 * @param drafter null if no drafter was asked for
 */
public record LoadedModel(Ops ops, Actor actor, TextTokenizer tokenizer, Drafter drafter) implements AutoCloseable {
    /**
     * Reads {@code config.json}, {@code model.safetensors} and {@code tokenizer.json} of an actor, and the first two of a drafter.
     *
     * @param drafterFolder null for none
     * @throws BadInput for anything wrong with the files, or if they do not fit each other
     */
    public static LoadedModel load(Ops ops, Path actorFolder, Path drafterFolder) {
        ModelConfig config = ModelConfig.read(actorFolder.resolve("config.json"));
        TextTokenizer tokenizer = TextTokenizer.open(actorFolder.resolve("tokenizer.json"), config.vocabSize());
        Actor actor = new Actor(ops, config, weights(ops, "actor weights", config.tensors(), actorFolder));
        actor.publish();
        if (drafterFolder == null) {
            return new LoadedModel(ops, actor, tokenizer, null);
        }
        DrafterConfig draftConfig = DrafterConfig.read(drafterFolder.resolve("config.json"));
        draftConfig.checkFits(config, drafterFolder.resolve("config.json"));
        Drafter drafter = new Drafter(ops, draftConfig, weights(ops, "drafter weights", draftConfig.tensors(), drafterFolder), actor);
        drafter.publish();
        return new LoadedModel(ops, actor, tokenizer, drafter);
    }

    private static ParameterSet weights(Ops ops, String name, List<TensorSpec> specs, Path folder) {
        ParameterSet set = new ParameterSet(ops, name, specs);
        ModelFiles.readInto(folder, specs, set.hostBytes());
        set.upload();
        return set;
    }

    /** A second actor with the same weights: a frozen reference. The caller closes it. */
    public Actor copyOfActor() {
        ParameterSet copy = new ParameterSet(ops, "reference weights", actor.weights().specs());
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

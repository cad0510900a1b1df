package org.respec.tools.check;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.Initializer;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ModelFiles;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.run.Devices;
import org.respec.kernels.Ops;

/** An untrained actor and drafter of three small layers, with the vocabulary of another actor, for quick checks. */
public final class TinyModel {
    private TinyModel() {
    }

    /** Writes both into {@code folder}; the tokenizer is that of {@code like}. */
    public static ModelFolders write(Path folder, Path like) {
        ModelConfig of = ModelConfig.read(like.resolve("config.json"));
        ModelConfig config = new ModelConfig(of.vocabSize(), 64, 96, 3, 2, 1, 32, 1e-6, 10000, 256, true, of.eosTokenIds(),
            of.padTokenId());
        DrafterConfig draft = new DrafterConfig(64, List.of(1, 2, 3), 64, 2, 1, 32, 1e-6, 10000, 256, of.vocabSize());
        Path actor = folder.resolve("tiny-actor");
        Path drafter = folder.resolve("tiny-drafter");
        try (Ops ops = Devices.open("cpu", 1); ParameterSet weights = new ParameterSet(ops, "tiny actor", config.tensors());
             ParameterSet draftWeights = new ParameterSet(ops, "tiny drafter", draft.tensors())) {
            Initializer.fill(weights, 3, 21);
            Initializer.fill(draftWeights, 1, 22);
            ModelFiles.write(actor, config.toJson(), weights);
            ModelFiles.write(drafter, draft.toJson(), draftWeights);
            Files.copy(like.resolve("tokenizer.json"), actor.resolve("tokenizer.json"));
            return new ModelFolders(actor, drafter);
        } catch (IOException e) {
            throw new BadInput(folder + ": a tiny model cannot be written there (" + e.getMessage() + "); check space and permissions.", e);
        }
    }
}

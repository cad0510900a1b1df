package org.respec.engine.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.HostMemory;
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
        requireStored(ops, dtype);
        DType kept = trained ? DType.F32 : dtype;
        ModelConfig config = ModelConfig.read(actorFolder.resolve("config.json"));
        requireRoom(ops, actorFolder, config.tensors(), kept, dtype);
        TextTokenizer tokenizer = TextTokenizer.open(actorFolder.resolve("tokenizer.json"), config.vocabSize());
        Actor actor = null;
        try {
            actor = new Actor(ops, config, weights(ops, "actor weights", config.tensors(), kept, actorFolder), dtype);
            actor.publish();
            return new LoadedModel(ops, actor, tokenizer, drafterFolder == null ? null : drafter(ops, actor, drafterFolder, kept));
        } catch (RuntimeException e) {
            if (actor != null) {
                actor.close();
            }
            tokenizer.close();
            throw e;
        }
    }

    /** {@code dtype}, or {@link BadInput} if the device does not store that type. */
    public static DType requireStored(Ops ops, DType dtype) {
        if (!ops.stores(dtype)) {
            throw new BadInput("run.dtype: " + ops.device() + " cannot compute in " + dtype.name().toLowerCase(Locale.ROOT)
                + "; set run.dtype=f32 (or --dtype f32).");
        }
        return dtype;
    }

    private static Drafter drafter(Ops ops, Actor actor, Path folder, DType kept) {
        DrafterConfig config = DrafterConfig.read(folder.resolve("config.json"));
        config.checkFits(actor.config(), folder.resolve("config.json"));
        requireRoom(ops, folder, config.tensors(), kept, actor.dtype());
        Drafter drafter = new Drafter(ops, config, weights(ops, "drafter weights", config.tensors(), kept, folder), actor);
        drafter.publish();
        return drafter;
    }

    /**
     * Refuses weights that the host's memory is too small for before they are read: the system would end the process while they come in. A
     * device that counts its memory says so itself.
     */
    private static void requireRoom(Ops ops, Path folder, List<TensorSpec> specs, DType kept, DType dtype) {
        long bytes = Math.multiplyExact(TensorSpec.elements(specs), bytesEach(kept, dtype));
        long free = HostMemory.availableBytes();
        if (ops.freeBytes() == Long.MAX_VALUE && bytes > free) {
            throw new BadInput(String.format(Locale.ROOT, "%s: its weights take %.1f GB, but of %s only %.1f GB are free; choose a smaller"
                + " model, or a device with more memory.", folder, bytes * 1e-9, ops.device(), free * 1e-9));
        }
    }

    /** Bytes that one weight takes where it is kept, in the copy that passes read, and in F32 in the form that matrix products take. */
    public static long bytesEach(DType kept, DType dtype) {
        return kept.bytes() + (kept == dtype ? 0 : dtype.bytes()) + (dtype == DType.F32 ? dtype.bytes() : 0);
    }

    private static ParameterSet weights(Ops ops, String name, List<TensorSpec> specs, DType dtype, Path folder) {
        ParameterSet set = new ParameterSet(ops, name, specs, dtype);
        try {
            ModelFiles.read(folder, set);
        } catch (RuntimeException e) {
            set.close();
            throw e;
        }
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

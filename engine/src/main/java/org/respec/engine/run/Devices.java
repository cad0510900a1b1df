package org.respec.engine.run;

import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.model.LoadedModel;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;

/** Opens the device that a user named. */
public final class Devices {
    /** Settings that {@link #dtype} knows. */
    public static final List<String> DTYPES = List.of("auto", "f32", "bf16");

    private Devices() {
    }

    /** Operators on {@code device}, with graphs where it has them. */
    public static Ops open(String device, int threads) {
        return open(device, threads, true);
    }

    /** Operators as a configuration asks for them. */
    public static Ops open(RunConfig.Run run) {
        return open(run.device(), run.threads(), run.graphs());
    }

    /** Operators on {@code device}; see {@link Backends#open}. */
    public static Ops open(String device, int threads, boolean graphs) {
        try {
            return Backends.open(device, threads, graphs);
        } catch (IllegalArgumentException | IllegalStateException e) {
            // A device that is not known or not there, or a native library that cannot be had.
            throw new BadInput(e.getMessage() + ".", e);
        }
    }

    /**
     * The type of weights in use, activations and caches: as named, and for {@code auto} BF16 on a GPU, F32 on the CPU, which stores
     * nothing else, and on the emulator, which is there to be compared with the CPU.
     *
     * @param device the name that {@code ops} was opened by
     * @throws BadInput if the device does not store it
     */
    public static DType dtype(String setting, String device, Ops ops) {
        if (setting.equals("auto")) {
            return ops.stores(DType.BF16) && !device.equals("emulator") ? DType.BF16 : DType.F32;
        }
        return LoadedModel.requireStored(ops, setting.equals("bf16") ? DType.BF16 : DType.F32);
    }

    /** The type that a configuration asks for; {@code ops} was opened for it. */
    public static DType dtype(RunConfig.Run run, Ops ops) {
        return dtype(run.dtype(), run.device(), ops);
    }
}

package org.respec.engine.run;

import org.respec.engine.BadInput;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** Opens the device that a user named. */
public final class Devices {
    private Devices() {
    }

    /** Operators on {@code device}, with graphs where it has them. */
    public static Ops open(String device, int threads) {
        return open(device, threads, true);
    }

    /** Operators on {@code device}; see {@link Backends#open}. */
    public static Ops open(String device, int threads, boolean graphs) {
        try {
            return Backends.open(device, threads, graphs);
        } catch (IllegalArgumentException e) {
            throw new BadInput(e.getMessage() + ".", e);
        }
    }
}

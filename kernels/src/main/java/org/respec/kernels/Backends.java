package org.respec.kernels;

import org.respec.kernels.cpu.CpuOps;

/** Where operators come from, so that callers know {@link Ops} alone. */
public final class Backends {
    private Backends() {
    }

    /**
     * Operators on a device.
     *
     * @param device {@code cpu}, or {@code auto} for the best there is
     * @param threads host threads; 0 for as many as there are processors
     * @throws IllegalArgumentException for a device that this build has no operators for
     */
    public static Ops open(String device, int threads) {
        int count = threads > 0 ? threads : Runtime.getRuntime().availableProcessors();
        return switch (device) {
            case "cpu", "auto" -> new CpuOps(count);
            default -> throw new IllegalArgumentException("device '" + device + "' is not available in this build; use cpu or auto");
        };
    }
}

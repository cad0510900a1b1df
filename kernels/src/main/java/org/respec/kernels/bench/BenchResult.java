package org.respec.kernels.bench;

/**
 * What was measured of a case.
 *
 * @param medianSeconds of the repeats, by the device's clock; NaN if it was not run
 * @param minSeconds the fastest repeat
 * @param host what launching takes of the host
 * @param repeats measured
 * @param copies sets of inputs that took turns
 * @param note why it was not run; empty if it was
 */
public record BenchResult(BenchCase of, double medianSeconds, double minSeconds, Host host, int repeats, int copies, String note) {
    /**
     * What launching takes of the host.
     *
     * @param launches of one call: kernels and matrix products
     * @param nanosPerLaunch of many calls in a row without waiting, the operator's own work on the host among it; NaN if it was not
     *        measured
     * @param note why it was not measured; empty if it was
     */
    public record Host(long launches, double nanosPerLaunch, String note) {
    }

    static BenchResult notRun(BenchCase of, String note) {
        return new BenchResult(of, Double.NaN, Double.NaN, new Host(0, Double.NaN, note), 0, 0, note);
    }

    /** Whether there are times, and no note that says why not. */
    public boolean wasRun() {
        return note.isEmpty();
    }

    /** By the bytes that must move and the median time. */
    public double bytesPerSecond() {
        return of.bytes() / medianSeconds;
    }

    /** By the FLOPs that the result takes and the median time. */
    public double flopsPerSecond() {
        return of.flops() / medianSeconds;
    }
}

package org.respec.kernels.bench;

/**
 * What was measured of a case.
 *
 * @param medianSeconds of the repeats, by the device's clock; NaN if it was not run
 * @param minSeconds the fastest repeat
 * @param hostNanos host time of one call, of many in a row without waiting
 * @param repeats measured
 * @param copies sets of inputs that took turns
 * @param note why it was not run; empty if it was
 */
public record BenchResult(BenchCase of, double medianSeconds, double minSeconds, double hostNanos, int repeats, int copies, String note) {
    static BenchResult notRun(BenchCase of, String note) {
        return new BenchResult(of, Double.NaN, Double.NaN, Double.NaN, 0, 0, note);
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

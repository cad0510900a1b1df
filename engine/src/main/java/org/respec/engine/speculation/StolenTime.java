package org.respec.engine.speculation;

import java.io.IOException;
import java.nio.file.Path;

/**
 * Share of the time in which something was to run on the host's processors that a hypervisor gave to others. Of the last second or so,
 * since the kernel counts in {@link ProcessorTicks}.
 */
final class StolenTime implements AutoCloseable {
    private static final double DECAY_NANOS = 1e9;
    private static final long PACE_NANOS = 100_000_000L;
    /** Fewer ticks than this cannot be told from rounding. */
    private static final double LEAST_TICKS = 40;

    private final ProcessorTicks ticks;
    private long last;
    private long busyBefore;
    private long stolenBefore;
    private double busy;
    private double stolen;

    /**
     * Begins to count.
     *
     * @param now nanoseconds of the caller's clock
     * @throws IOException if the kernel does not say
     */
    StolenTime(Path proc, long now) throws IOException {
        ticks = new ProcessorTicks(proc);
        last = now;
        busyBefore = ticks.busy();
        stolenBefore = ticks.stolen();
    }

    /** The share as of {@code now}, 0 where little has run. */
    double share(long now) throws IOException {
        if (now - last >= PACE_NANOS) {
            double kept = Math.exp((last - now) / DECAY_NANOS);
            last = now;
            busy *= kept;
            stolen *= kept;
            read();
        }
        return busy + stolen < LEAST_TICKS ? 0 : stolen / (busy + stolen);
    }

    /** Adds the ticks since the last call. */
    private void read() throws IOException {
        ticks.read();
        // Some kernels have let these counters fall by a tick.
        busy += Math.max(0, ticks.busy() - busyBefore);
        stolen += Math.max(0, ticks.stolen() - stolenBefore);
        busyBefore = ticks.busy();
        stolenBefore = ticks.stolen();
    }

    @Override
    public void close() {
        try {
            ticks.close();
        } catch (IOException e) {
            // It was only read.
        }
    }
}

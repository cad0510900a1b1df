package org.respec.engine.speculation;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Share of the time in which something was to run on the host's processors that a hypervisor gave to others, from the first line of
 * {@code /proc/stat}. Of the last second or so: the kernel counts in ticks of 10 ms.
 */
final class StolenTime implements AutoCloseable {
    private static final double DECAY_NANOS = 1e9;
    private static final long PACE_NANOS = 100_000_000L;
    /** Fewer ticks than this cannot be told from rounding. */
    private static final double LEAST_TICKS = 40;
    private static final int IDLE = 3;
    private static final int IO_WAIT = 4;
    private static final int STEAL = 7;

    private final Path path;
    private final FileChannel file;
    private final ByteBuffer text = ByteBuffer.allocate(256);
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
        path = proc.resolve("stat");
        last = now;
        file = FileChannel.open(path);
        try {
            read();
        } catch (IOException e) {
            file.close();
            throw e;
        }
        busy = 0;
        stolen = 0;
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
        text.clear();
        file.read(text, 0);
        String line = new String(text.array(), 0, text.position(), StandardCharsets.US_ASCII).lines().findFirst().orElse("");
        String[] words = line.split(" +");
        if (!words[0].equals("cpu") || words.length <= STEAL + 1) {
            throw new IOException(path + " has no line of all processors");
        }
        long ran = 0;
        long taken;
        try {
            for (int field = 0; field < STEAL; field++) {
                ran += field == IDLE || field == IO_WAIT ? 0 : Long.parseLong(words[field + 1]);
            }
            taken = Long.parseLong(words[STEAL + 1]);
        } catch (NumberFormatException e) {
            throw new IOException(path + " says '" + line + "', which are no ticks", e);
        }
        // Some kernels have let these counters fall by a tick.
        busy += Math.max(0, ran - busyBefore);
        stolen += Math.max(0, taken - stolenBefore);
        busyBefore = ran;
        stolenBefore = taken;
    }

    @Override
    public void close() {
        try {
            file.close();
        } catch (IOException e) {
            // It was only read.
        }
    }
}

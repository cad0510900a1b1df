package org.respec.engine.speculation;

import java.io.IOException;
import java.nio.file.Path;

/** What all processors of the host have done since it was started, in ticks of 10 ms: the first line of {@code /proc/stat}. */
final class ProcessorTicks implements AutoCloseable {
    private static final int IDLE = 3;
    private static final int IO_WAIT = 4;
    private static final int STEAL = 7;

    private final Path path;
    private final ProcFile file;
    private long busy;
    private long idle;
    private long stolen;

    /**
     * Reads for the first time.
     *
     * @throws IOException if the kernel does not say
     */
    ProcessorTicks(Path proc) throws IOException {
        path = proc.resolve("stat");
        file = new ProcFile(path);
        try {
            read();
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    /** Takes what the kernel says now. */
    void read() throws IOException {
        if (!file.read() || !file.pass("cpu ")) {
            throw new IOException(path + " has no line of all processors");
        }
        busy = 0;
        idle = 0;
        for (int field = 0; field <= STEAL; field++) {
            long ticks = file.number();
            if (field == STEAL) {
                stolen = ticks;
            } else if (field == IDLE || field == IO_WAIT) {
                idle += ticks;
            } else {
                busy += ticks;
            }
        }
    }

    /** In which something ran here. */
    long busy() {
        return busy;
    }

    /** In which nothing was to run. */
    long idle() {
        return idle;
    }

    /** In which something was to run here and a hypervisor let others run. */
    long stolen() {
        return stolen;
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}

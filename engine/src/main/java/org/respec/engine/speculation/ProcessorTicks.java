package org.respec.engine.speculation;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** What all processors of the host have done since it was started, in ticks of 10 ms: the first line of {@code /proc/stat}. */
final class ProcessorTicks implements AutoCloseable {
    private static final int IDLE = 3;
    private static final int IO_WAIT = 4;
    private static final int STEAL = 7;

    private final Path path;
    private final FileChannel file;
    private final ByteBuffer text = ByteBuffer.allocate(256);
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
        file = FileChannel.open(path);
        try {
            read();
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    /** Takes what the kernel says now. */
    void read() throws IOException {
        text.clear();
        file.read(text, 0);
        String line = new String(text.array(), 0, text.position(), StandardCharsets.US_ASCII).lines().findFirst().orElse("");
        String[] words = line.split(" +");
        if (!words[0].equals("cpu") || words.length <= STEAL + 1) {
            throw new IOException(path + " has no line of all processors");
        }
        busy = 0;
        idle = 0;
        for (int field = 0; field <= STEAL; field++) {
            long ticks;
            try {
                ticks = Long.parseLong(words[field + 1]);
            } catch (NumberFormatException e) {
                throw new IOException(path + " says '" + line + "', which are no ticks", e);
            }
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

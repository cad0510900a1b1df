package org.respec.engine.run;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;

/** {@code metrics.jsonl}: one object per iteration. */
final class MetricsLog implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();

    private final Path file;
    private final FileChannel channel;

    private MetricsLog(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /** Opens the log for appending; lines of iterations after {@code iteration}, which will be run again, are dropped. */
    static MetricsLog open(Path file, int iteration) {
        try {
            if (Files.exists(file)) {
                StringBuilder kept = new StringBuilder();
                for (String line : Files.readString(file).split("\n")) {
                    if (isKept(line, iteration)) {
                        kept.append(line).append('\n');
                    }
                }
                SafeFiles.write(file, kept.toString().getBytes(StandardCharsets.UTF_8));
            }
            return new MetricsLog(file, FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND));
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be written (" + e.getMessage() + "); check space and permissions.", e);
        }
    }

    private static boolean isKept(String line, int iteration) {
        try {
            int number = JSON.readTree(line).path("iteration").asInt(-1);
            return number > 0 && number <= iteration;
        } catch (IOException e) {
            // The last line of a run that was killed while writing it.
            return false;
        }
    }

    void append(ObjectNode line) {
        ByteBuffer bytes = ByteBuffer.wrap((line.toString() + "\n").getBytes(StandardCharsets.UTF_8));
        try {
            SafeFiles.writeAll(channel, bytes);
            channel.force(false);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be written (" + e.getMessage() + "); check space and permissions.", e);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new IllegalStateException(file + ": it cannot be closed", e);
        }
    }
}

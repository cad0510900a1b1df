package org.respec.engine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** What the system tells of the host's memory. */
public final class HostMemory {
    private static final String AVAILABLE = "MemAvailable:";

    private HostMemory() {
    }

    /** Bytes that can be had without swapping; {@link Long#MAX_VALUE} where the system does not say. */
    public static long availableBytes() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/meminfo"))) {
            return lines.filter(line -> line.startsWith(AVAILABLE)).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
                .findFirst().orElse(Long.MAX_VALUE);
        } catch (IOException e) {
            return Long.MAX_VALUE;
        }
    }
}

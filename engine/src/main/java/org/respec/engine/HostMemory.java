package org.respec.engine;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.respec.kernels.Ops;

/** What the system tells of the host's memory. */
public final class HostMemory {
    private static final String AVAILABLE = "MemAvailable:";

    private HostMemory() {
    }

    /**
     * Bytes that can be had without swapping, and no more than a container has in all; {@link Long#MAX_VALUE} where the system does not
     * say.
     */
    public static long availableBytes() {
        long most = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
        return Math.min(unused(), most > 0 ? most : Long.MAX_VALUE);
    }

    /** Bytes that {@code ops} can still have: where they do not count memory, they use the host's. */
    public static long freeBytes(Ops ops) {
        long free = ops.freeBytes();
        return free < Long.MAX_VALUE ? free : availableBytes();
    }

    private static long unused() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/meminfo"))) {
            return lines.filter(line -> line.startsWith(AVAILABLE)).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
                .findFirst().orElse(Long.MAX_VALUE);
        } catch (IOException e) {
            return Long.MAX_VALUE;
        }
    }
}

package org.respec.engine.run;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;

/** How much of the host's processors this process used between two readings. */
final class ProcessCpuShare {
    private final OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    private long cpuNanos = system.getProcessCpuTime();
    private long wallNanos = System.nanoTime();

    /** Processor time of all threads since the last call, as a share of what all processors had, 0 to 1. */
    double take() {
        long cpu = system.getProcessCpuTime();
        long wall = System.nanoTime();
        double share = (double) (cpu - cpuNanos) / Math.max(1, (wall - wallNanos) * system.getAvailableProcessors());
        cpuNanos = cpu;
        wallNanos = wall;
        return Math.clamp(share, 0, 1);
    }
}

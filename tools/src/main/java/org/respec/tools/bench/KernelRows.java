package org.respec.tools.bench;

import com.fasterxml.jackson.databind.node.ObjectNode;
import org.respec.kernels.bench.BenchResult;

/** Rows of kernels' times as JSON. */
public final class KernelRows {
    private KernelRows() {
    }

    /** Adds what launching took of the host; null, and why, where that was not measured. */
    public static void addHost(ObjectNode row, BenchResult.Host host) {
        row.put("launches_per_call", host.launches());
        if (host.note().isEmpty()) {
            row.put("host_nanos_per_launch", host.nanosPerLaunch());
        } else {
            row.putNull("host_nanos_per_launch").put("host_not_measured", host.note());
        }
    }
}

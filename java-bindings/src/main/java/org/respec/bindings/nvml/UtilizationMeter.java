package org.respec.bindings.nvml;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * How busy a device was since the last reading: by GPM, the counters of Hopper and newer, where the device has them and lets us; else
 * by NVML's utilisation rates, which say only whether any kernel ran. One thread at a time.
 */
public final class UtilizationMeter implements AutoCloseable {
    // nvmlGpmMetric_t: unsigned int metricId; nvmlReturn_t; double value; three char*.
    private static final int METRIC_BYTES = 40;
    // nvmlGpmMetricsGet_t: unsigned int version, numMetrics; two samples; then metrics[NVML_GPM_METRIC_MAX], which grows with versions
    // (98 in CUDA 12.0, 333 in 12.8): we hand over more room than any has.
    private static final int METRICS_HEADER_BYTES = 24;
    private static final int MOST_METRICS = 1024;
    private static final int METRICS_VERSION = 1;
    private static final int SM_UTIL = 2;
    private static final int SM_OCCUPANCY = 3;
    private static final int DRAM_BW_UTIL = 10;
    private static final int[] METRICS = {SM_UTIL, SM_OCCUPANCY, DRAM_BW_UTIL};
    /** NVML wants more than 100 ms between the samples it compares: counters that have not moved yet would read as no activity. */
    private static final long LEAST_NANOS = 120_000_000;
    private static final GpuUtilization TOO_SOON = new GpuUtilization(Double.NaN, Double.NaN, Double.NaN,
        "no GPM reading: too soon after the last reading");

    private final NvmlDevice device;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment[] samples = new MemorySegment[2];
    private final MemorySegment request;
    private String refusal;
    private int newest;
    private long newestNanos;

    UtilizationMeter(NvmlDevice device) {
        this.device = device;
        refusal = device.gpmRefusal();
        request = arena.allocate(METRICS_HEADER_BYTES + (long) METRIC_BYTES * MOST_METRICS, 8);
        if (refusal.isEmpty()) {
            MemorySegment slot = arena.allocate(ADDRESS);
            for (int i = 0; i < 2 && refusal.isEmpty(); i++) {
                int code = device.nvml().call("nvmlGpmSampleAlloc", slot);
                if (code == 0) {
                    samples[i] = slot.get(ADDRESS, 0);
                } else {
                    refusal = "no GPM: " + NvmlErrors.describe(code);
                }
            }
            sample();
        }
    }

    private void sample() {
        if (refusal.isEmpty()) {
            int code = device.nvml().call("nvmlGpmSampleGet", device.handle(), samples[newest]);
            newestNanos = System.nanoTime();
            refusal = code == 0 ? "" : "no GPM: " + NvmlErrors.describe(code);
        }
    }

    /**
     * How busy the device was since the last reading that told anything, or since this meter was made. With GPM, less than 120 ms after it
     * nothing is told, and that reading stays the one that the next begins from.
     */
    public GpuUtilization read() {
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException("a utilisation meter is used after it was closed");
        }
        if (refusal.isEmpty()) {
            long before = newestNanos;
            if (System.nanoTime() - before < LEAST_NANOS) {
                return TOO_SOON;
            }
            newest = 1 - newest;
            sample();
            if (refusal.isEmpty()) {
                GpuUtilization busy = gpm((newestNanos - before) / 1e9);
                if (Double.isNaN(busy.smActivity()) && Double.isNaN(busy.dramActivity())) {
                    // Nothing was learnt of this time: the next reading is about it too.
                    newest = 1 - newest;
                    newestNanos = before;
                }
                return busy;
            }
        }
        GpuStatus status = device.status();
        String why = String.join("; ", status.missing().stream().filter(line -> line.startsWith("no utilisation")).toList());
        return new GpuUtilization(status.busy(), Double.NaN, status.memoryBusy(),
            "NVML rates: share of time in which any kernel ran or memory was used (" + refusal + (why.isEmpty() ? "" : "; " + why) + ")");
    }

    private GpuUtilization gpm(double seconds) {
        request.set(JAVA_INT, 0, METRICS_VERSION);
        request.set(JAVA_INT, 4, METRICS.length);
        request.set(ADDRESS, 8, samples[1 - newest]);
        request.set(ADDRESS, 16, samples[newest]);
        for (int i = 0; i < METRICS.length; i++) {
            MemorySegment metric = request.asSlice(METRICS_HEADER_BYTES + (long) i * METRIC_BYTES, METRIC_BYTES);
            metric.fill((byte) 0);
            metric.set(JAVA_INT, 0, METRICS[i]);
        }
        int code = device.nvml().call("nvmlGpmMetricsGet", request);
        if (code != 0) {
            return new GpuUtilization(Double.NaN, Double.NaN, Double.NaN, "no GPM reading: " + NvmlErrors.describe(code));
        }
        return new GpuUtilization(share(0), share(1), share(2), String.format(Locale.ROOT, "GPM counters over %.3f s", seconds));
    }

    private double share(int metric) {
        MemorySegment entry = request.asSlice(METRICS_HEADER_BYTES + (long) metric * METRIC_BYTES, METRIC_BYTES);
        return entry.get(JAVA_INT, 4) == 0 ? entry.get(JAVA_DOUBLE, 8) / 100 : Double.NaN;
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            for (MemorySegment sample : samples) {
                if (sample != null) {
                    int ignored = device.nvml().call("nvmlGpmSampleFree", sample);
                }
            }
            arena.close();
        }
    }
}

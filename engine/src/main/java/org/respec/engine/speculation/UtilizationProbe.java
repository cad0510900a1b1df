package org.respec.engine.speculation;

import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nvml.Nvml;
import org.respec.bindings.nvml.UtilizationMeter;

/**
 * Share of the device that everyone but decoding uses, from 0 to 1: sampled on a thread of its own, averaged with a decay, and read by
 * the decode thread at the price of a volatile read and a look at the clock. It only ever makes speculation more or less eager, so
 * that a probe that fails, hangs or lies costs time at most: a sample older than a second counts as none.
 */
public final class UtilizationProbe implements DoubleSupplier, AutoCloseable {
    private static final long STALE_NANOS = 1_000_000_000L;
    /** Time in which an old sample's weight falls to 1/e. */
    private static final double DECAY_NANOS = 1e8;
    private static final int HOST_MILLIS = 50;
    /** GPM's counters need some 0.1 s between readings. */
    private static final int DEVICE_MILLIS = 100;

    private record Sample(double share, long nanos) {
    }

    private final DoubleSupplier source;
    private final LongSupplier clock;
    private final DecodeWork work;
    private final Thread thread;
    private volatile Sample latest;
    private volatile boolean closed;

    /**
     * A probe whose samples are taken by calls of {@link #sample}.
     *
     * @param source the share now, or NaN where it is not known
     * @param clock nanoseconds
     */
    public UtilizationProbe(DoubleSupplier source, LongSupplier clock) {
        this(source, clock, new DecodeWork(), null, 0);
    }

    private UtilizationProbe(DoubleSupplier source, LongSupplier clock, DecodeWork work, AutoCloseable device, int millis) {
        this.source = source;
        this.clock = clock;
        this.work = work;
        this.thread = millis == 0 ? null : Thread.ofPlatform().daemon().name("respec-load").unstarted(() -> watch(device, millis));
    }

    /** Watches a GPU, or the host's processors where {@code uuid} is empty, until it is closed. */
    public static UtilizationProbe start(String uuid) {
        DecodeWork work = new DecodeWork();
        UtilizationProbe probe;
        if (uuid.isEmpty()) {
            probe = new UtilizationProbe(new HostLoad(), System::nanoTime, work, () -> { }, HOST_MILLIS);
        } else {
            try {
                Nvml nvml = Nvml.open(CudaLibraries.ofThisMachine());
                UtilizationMeter meter = nvml.device(uuid).meter();
                probe = new UtilizationProbe(new DeviceLoad(meter::read, work, System::nanoTime), System::nanoTime, work, () -> {
                    meter.close();
                    nvml.close();
                }, DEVICE_MILLIS);
            } catch (GpuException e) {
                say(e.getMessage());
                return new UtilizationProbe(() -> Double.NaN, System::nanoTime);
            }
        }
        probe.thread.start();
        return probe;
    }

    private void watch(AutoCloseable device, int millis) {
        try (device) {
            while (!closed) {
                sample();
                Thread.sleep(millis);
            }
        } catch (InterruptedException e) {
            // Closed.
        } catch (Exception e) {
            say(e.toString());
        }
    }

    private static void say(String reason) {
        System.err.println("respec: what others use of the device is not known and counts as nothing from now on ("
            + reason.lines().findFirst().orElse("") + ").");
    }

    /** Takes a sample. */
    public void sample() {
        double share = source.getAsDouble();
        if (Double.isNaN(share)) {
            return;
        }
        double now = Math.clamp(share, 0.0, 1.0);
        Sample last = latest;
        long nanos = clock.getAsLong();
        double kept = last == null ? 0 : Math.exp((last.nanos - nanos) / DECAY_NANOS);
        latest = new Sample(last == null ? now : kept * last.share + (1 - kept) * now, nanos);
    }

    /** The share; NaN if nothing was heard for a second. */
    public double share() {
        Sample sample = latest;
        return sample == null || clock.getAsLong() - sample.nanos > STALE_NANOS ? Double.NaN : sample.share;
    }

    /** The share, 0 if nothing was heard for a second. */
    @Override
    public double getAsDouble() {
        double share = share();
        return Double.isNaN(share) ? 0 : share;
    }

    /** Tells what decoding itself did; called by the decode thread alone. */
    public void decoded(int batch, long nanos) {
        work.add(batch, nanos);
    }

    @Override
    public void close() {
        closed = true;
        if (thread != null) {
            thread.interrupt();
        }
    }
}

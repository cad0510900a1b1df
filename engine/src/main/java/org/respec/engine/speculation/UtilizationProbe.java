package org.respec.engine.speculation;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;
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
    /** A share from which it is watched closely, so that its end is seen soon. */
    private static final double MUCH = 0.15;
    /** How long it is watched closely after steps have become longer. */
    private static final long ALERT_NANOS = 100_000_000L;
    /** While no steps are taken nobody asks: how often they are looked for. To wake the thread would cost the first step 0.5 ms. */
    private static final int IDLE_MILLIS = 500;
    /** How long closing waits for a sample that hangs. */
    private static final long CLOSE_MILLIS = 200;
    private static final Path PROC = Path.of("/proc");

    private record Sample(double share, long nanos) {
    }

    /**
     * How often samples are taken, and how long they count.
     *
     * @param calmMillis between samples while nothing speaks for others
     * @param alertMillis between samples while others use much of the device, and after steps have become longer
     * @param wakes whether steps that have become longer are looked into at once; else with the next sample
     * @param decayNanos time in which an old sample's weight falls to 1/e; 0 for a source that takes means itself
     */
    record Pace(int calmMillis, int alertMillis, boolean wakes, double decayNanos) {
        /**
         * A sample takes a processor from decoding for a moment: 0.3 to 0.5 ms on a virtual machine, since decoding leaves nothing of
         * what it needs in a cache, and the step waits for whoever was interrupted. Ten a second, and a close watch of 300 ms after steps
         * that were long by chance, cost 1.5 % of the steps with off; fifteen a second of 1.5 ms each, 2 % of any plan's. A load that
         * matters makes steps longer, and is seen by that.
         */
        static final Pace RUN_DELAY = new Pace(500, 40, true, 0);
        static final Pace TICKS = new Pace(50, 50, true, 1e8);
        /** GPM tells nothing within 120 ms of the reading before, so that an earlier look is of no use. */
        static final Pace DEVICE = new Pace(130, 130, false, 1e8);
    }

    private final DoubleSupplier source;
    private final LongSupplier clock;
    private final DecodeWork work;
    private final Pace pace;
    private final Thread thread;
    private final long closeMillis;
    private final StepJumps jumps = new StepJumps();
    private volatile Sample latest;
    private volatile long alertUntil;
    /** When others were last seen to use much. */
    private volatile long muchNanos;
    /** Whether longer steps are being looked into, and since when. */
    private boolean alarmed;
    private long alarmNanos;
    private volatile boolean closed;

    /**
     * A probe whose samples are taken by calls of {@link #sample}.
     *
     * @param source the share now, or NaN where it is not known
     * @param clock nanoseconds
     */
    public UtilizationProbe(DoubleSupplier source, LongSupplier clock) {
        this.source = source;
        this.clock = clock;
        this.alertUntil = clock.getAsLong();
        this.muchNanos = alertUntil;
        this.work = new DecodeWork();
        this.pace = Pace.TICKS;
        this.thread = null;
        this.closeMillis = 0;
    }

    private UtilizationProbe(DoubleSupplier source, DecodeWork work, AutoCloseable device, Pace pace, long closeMillis) {
        this.source = source;
        this.clock = System::nanoTime;
        this.alertUntil = System.nanoTime();
        this.muchNanos = alertUntil;
        this.work = work;
        this.pace = pace;
        this.closeMillis = closeMillis;
        this.thread = Thread.ofPlatform().daemon().name("respec-load").unstarted(() -> watch(device));
    }

    /** Watches a GPU, or the host's processors where {@code uuid} is empty, until it is closed. */
    public static UtilizationProbe start(String uuid) {
        UtilizationProbe probe;
        try {
            probe = uuid.isEmpty() ? ofHost() : ofDevice(uuid);
        } catch (GpuException e) {
            say(e.getMessage());
            return new UtilizationProbe(() -> Double.NaN, System::nanoTime);
        }
        probe.thread.start();
        return probe;
    }

    /** Samples {@code source} on a thread that closes {@code device} at its end. */
    static UtilizationProbe watching(DoubleSupplier source, AutoCloseable device, Pace pace, long closeMillis) {
        UtilizationProbe probe = new UtilizationProbe(source, new DecodeWork(), device, pace, closeMillis);
        probe.thread.start();
        return probe;
    }

    private static UtilizationProbe ofHost() {
        DecodeWork work = new DecodeWork(RunDelay::currentThread);
        try {
            RunDelay delay = RunDelay.open(PROC, work, System::nanoTime);
            return new UtilizationProbe(delay, work, delay, Pace.RUN_DELAY, CLOSE_MILLIS);
        } catch (IOException e) {
            System.err.println("respec: the kernel does not say how long threads wait for a processor (" + e.getMessage()
                + "), so that what others use of the host is counted in ticks, and seen 0.2 s late.");
            HostLoad load = new HostLoad(PROC);
            return new UtilizationProbe(load, work, load, Pace.TICKS, CLOSE_MILLIS);
        }
    }

    private static UtilizationProbe ofDevice(String uuid) {
        DecodeWork work = new DecodeWork();
        Nvml nvml = Nvml.open(CudaLibraries.ofThisMachine());
        UtilizationMeter meter = nvml.device(uuid).meter();
        return new UtilizationProbe(new DeviceLoad(meter::read, work, System::nanoTime), work, () -> {
            meter.close();
            nvml.close();
        }, Pace.DEVICE, CLOSE_MILLIS);
    }

    private void watch(AutoCloseable device) {
        try (device) {
            long busy = -1;
            while (!closed) {
                boolean idle = work.busyNanos() == busy;
                busy = work.busyNanos();
                if (!idle) {
                    sample();
                }
                LockSupport.parkNanos(this, 1_000_000L * (idle ? IDLE_MILLIS : isAlert() ? pace.alertMillis : pace.calmMillis));
            }
        } catch (Exception e) {
            // A read that closing has interrupted is no fault.
            if (!closed) {
                say(e.toString());
            }
        }
    }

    private boolean isAlert() {
        Sample sample = latest;
        return sample != null && sample.share >= MUCH || clock.getAsLong() - alertUntil < 0;
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
        double kept = last == null || pace.decayNanos == 0 ? 0 : Math.exp((last.nanos - nanos) / pace.decayNanos);
        Sample sample = new Sample(last == null ? now : kept * last.share + (1 - kept) * now, nanos);
        if (sample.share >= MUCH) {
            muchNanos = nanos;
        }
        latest = sample;
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
    public void decoded(SpeculationPlan plan, int batch, long nanos) {
        work.add(batch, nanos);
        if (alarmed && !isAlert()) {
            alarmed = false;
            if (muchNanos - alarmNanos >= 0) {
                jumps.right();
            } else {
                jumps.mistaken();
            }
        }
        if (jumps.longer(plan, batch, nanos) && !isAlert()) {
            alarmed = true;
            alarmNanos = clock.getAsLong();
            alertUntil = alarmNanos + ALERT_NANOS;
            if (pace.wakes) {
                LockSupport.unpark(thread);
            }
        }
    }

    /** Waits a moment for its thread: the process may be about to exit, and the thread in a call of NVML. */
    @Override
    public void close() {
        closed = true;
        if (thread == null) {
            return;
        }
        thread.interrupt();
        if (Thread.currentThread() != thread) {
            try {
                thread.join(closeMillis);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}

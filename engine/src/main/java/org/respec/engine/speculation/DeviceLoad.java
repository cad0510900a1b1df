package org.respec.engine.speculation;

import java.util.Arrays;
import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.respec.bindings.nvml.GpuUtilization;

/**
 * Share of a GPU that others use. NVML says what all together use; decoding's own part is what the device showed while it decoded
 * batches of this size and was least busy, times the share of time in which it decodes. What is over that is others'.
 *
 * <p>So others are seen as far as decoding leaves room for them: where it keeps the whole device busy by itself they cannot be told from
 * it (and speculation hardly pays). A load that was there before the first step and stays is taken for our own.
 */
final class DeviceLoad implements DoubleSupplier {
    /** Part by which a level of our own that was exceeded follows what is seen: others' load of minutes becomes normal. */
    private static final double CREEP = 0.001;
    /** Share of time spent decoding under which nothing is learnt of its level; over it, no device is without any activity. */
    private static final double LEAST_BUSY = 0.2;

    private final Supplier<GpuUtilization> meter;
    private final DecodeWork work;
    private final LongSupplier clock;
    /** Activity while decoding, by size of the batch; NaN where nothing is known. */
    private final double[] own = new double[StepCorrections.SIZES];
    private long lastNanos;
    private long lastBusy;

    DeviceLoad(Supplier<GpuUtilization> meter, DecodeWork work, LongSupplier clock) {
        this.meter = meter;
        this.work = work;
        this.clock = clock;
        Arrays.fill(own, Double.NaN);
        lastNanos = clock.getAsLong();
    }

    /** The share since the last reading that counted; NaN if this one does not, because the device does not say or is not believed. */
    @Override
    public double getAsDouble() {
        GpuUtilization used = meter.get();
        double activity = Double.isNaN(used.dramActivity()) ? used.smActivity()
            : Double.isNaN(used.smActivity()) ? used.dramActivity() : Math.max(used.smActivity(), used.dramActivity());
        if (Double.isNaN(activity)) {
            return Double.NaN;
        }
        long now = clock.getAsLong();
        long busy = work.busyNanos();
        double decoding = now <= lastNanos ? 0 : Math.min(1, (double) (busy - lastBusy) / (now - lastNanos));
        if (activity == 0 && decoding >= LEAST_BUSY) {
            // Counters that have not moved yet: as a level of our own it would make all that we do others' for minutes.
            return Double.NaN;
        }
        // Only now, so that the next reading is set against the time that it is about.
        lastNanos = now;
        lastBusy = busy;
        int size = StepCorrections.size(work.batch());
        if (decoding >= LEAST_BUSY) {
            double level = activity / decoding;
            own[size] = Double.isNaN(own[size]) || level < own[size] ? level : own[size] + CREEP * (level - own[size]);
        }
        return Math.clamp(activity - (Double.isNaN(own[size]) ? 0 : own[size] * decoding), 0.0, 1.0);
    }
}

package org.respec.bindings.gpu.emulator;

import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuException;

/** A moment of the host's clock: work is done when it is asked for, so a point that was recorded has been passed. */
final class EmulatedEvent implements GpuEvent {
    private final EmulatorDriver driver;
    private long nanos;
    private boolean recorded;
    private boolean closed;

    EmulatedEvent(EmulatorDriver driver) {
        this.driver = driver;
    }

    void record() {
        check();
        nanos = System.nanoTime();
        recorded = true;
    }

    void check() {
        driver.check();
        if (closed) {
            throw new IllegalStateException("the event is closed");
        }
    }

    @Override
    public void synchronize() {
        check();
    }

    /** True also if it was never recorded, as with CUDA. */
    @Override
    public boolean isDone() {
        check();
        return true;
    }

    @Override
    public double secondsSince(GpuEvent earlier) {
        EmulatedEvent other = (EmulatedEvent) earlier;
        check();
        other.check();
        if (!recorded || !other.recorded) {
            throw new GpuException("the time between two events was asked for, and one of them was never recorded");
        }
        return (nanos - other.nanos) * 1e-9;
    }

    @Override
    public void close() {
        closed = true;
    }
}

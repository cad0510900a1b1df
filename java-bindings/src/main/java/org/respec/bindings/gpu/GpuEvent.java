package org.respec.bindings.gpu;

/** A point in a stream. */
public interface GpuEvent extends AutoCloseable {
    /** Waits on the host until the device has passed this point. */
    void synchronize();

    /** Whether the device has passed this point; does not wait. */
    boolean isDone();

    /** Seconds from {@code earlier} to this point by the device's clock; both must have been passed. */
    double secondsSince(GpuEvent earlier);

    @Override
    void close();
}

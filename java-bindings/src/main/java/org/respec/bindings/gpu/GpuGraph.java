package org.respec.bindings.gpu;

/** Captured work that starts with one call. */
public interface GpuGraph extends AutoCloseable {
    /** Queues all of it; its arguments are those that were captured. */
    void launch(GpuStream stream);

    @Override
    void close();
}

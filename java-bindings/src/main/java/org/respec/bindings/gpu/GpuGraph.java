package org.respec.bindings.gpu;

/** Captured work that starts with one call. */
public interface GpuGraph extends AutoCloseable {
    /**
     * Queues all of it; its arguments are those that were captured.
     *
     * @throws GpuOutOfMemory if the device has no memory for it, which the first time may show; nothing was queued then
     */
    void launch(GpuStream stream);

    @Override
    void close();
}

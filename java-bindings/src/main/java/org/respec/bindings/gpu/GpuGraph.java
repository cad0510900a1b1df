package org.respec.bindings.gpu;

/** Captured work that starts with one call. */
public interface GpuGraph extends AutoCloseable {
    void launch(GpuStream stream);

    @Override
    void close();
}

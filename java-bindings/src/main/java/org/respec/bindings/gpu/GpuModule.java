package org.respec.bindings.gpu;

/** Loaded kernels. */
public interface GpuModule extends AutoCloseable {
    /**
     * The kernel of this name.
     *
     * @throws GpuException if there is none
     */
    GpuKernel kernel(String entry);

    @Override
    void close();
}

package org.respec.bindings.gpu;

/** A device has not so much memory left; nothing else is wrong with it. */
public final class GpuOutOfMemory extends GpuException {
    private static final long serialVersionUID = 1L;

    public GpuOutOfMemory(String message) {
        super(message);
    }
}

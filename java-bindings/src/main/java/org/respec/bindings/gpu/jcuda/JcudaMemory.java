package org.respec.bindings.gpu.jcuda;

import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuMemory;

final class JcudaMemory implements GpuMemory, Context.Resource {
    private final Context context;
    private final Handles.Memory handle;
    private final long address;
    private final long bytes;
    private volatile boolean alive = true;

    JcudaMemory(Context context, Handles.Memory handle, long bytes) {
        this.context = context;
        this.handle = handle;
        this.address = handle.raw();
        this.bytes = bytes;
        context.add(this);
    }

    @Override
    public long address() {
        if (!alive) {
            throw new IllegalStateException("device memory of " + bytes + " bytes is used after it was closed");
        }
        return address;
    }

    /** Address of a checked range. */
    long address(Context owner, long offset, long length) {
        if (owner != context) {
            throw new IllegalArgumentException("device memory of another driver");
        }
        if (offset < 0 || length < 0 || offset > bytes - length) {
            throw new IndexOutOfBoundsException("bytes " + offset + " to " + (offset + length) + " of device memory of " + bytes
                + " bytes");
        }
        return address() + offset;
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public boolean isAlive() {
        return alive;
    }

    @Override
    public void close() {
        if (alive && !context.isClosed()) {
            context.retire("freeing device memory", this);
        }
    }

    @Override
    public void release() {
        alive = false;
        JCudaDriver.cuMemFree(handle);
    }
}

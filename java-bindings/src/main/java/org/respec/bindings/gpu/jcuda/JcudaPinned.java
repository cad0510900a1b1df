package org.respec.bindings.gpu.jcuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.PinnedMemory;

/** Memory of the driver's, seen through a segment whose arena ends before the memory does. */
final class JcudaPinned implements PinnedMemory, Context.Resource {
    private final Context context;
    private final Handles.HostMemory handle;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;

    JcudaPinned(Context context, Handles.HostMemory handle, long bytes) {
        this.context = context;
        this.handle = handle;
        this.segment = MemorySegment.ofAddress(handle.raw()).reinterpret(bytes, arena, null);
        segment.fill((byte) 0);
        context.pinned().add(handle.raw(), bytes);
        context.add(this);
    }

    @Override
    public MemorySegment segment() {
        if (!isAlive()) {
            throw new IllegalStateException("page-locked memory of " + segment.byteSize() + " bytes is used after it was closed");
        }
        return segment;
    }

    @Override
    public boolean isAlive() {
        return arena.scope().isAlive();
    }

    @Override
    public void close() {
        if (isAlive() && !context.isClosed()) {
            context.retire("freeing page-locked memory", this);
        }
    }

    @Override
    public void release() {
        context.pinned().remove(handle.raw());
        arena.close();
        JCudaDriver.cuMemFreeHost(handle);
    }
}

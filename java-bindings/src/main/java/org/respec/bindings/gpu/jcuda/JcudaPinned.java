package org.respec.bindings.gpu.jcuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.respec.bindings.gpu.PinnedMemory;

/** Memory of the driver's, seen through a segment whose arena ends before the memory does. */
final class JcudaPinned implements PinnedMemory, Context.Resource {
    private final Context context;
    private final long address;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;

    JcudaPinned(Context context, long address, long bytes) {
        this.context = context;
        this.address = address;
        this.segment = MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
        segment.fill((byte) 0);
        context.pinned().add(address, bytes);
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
        context.pinned().remove(address);
        arena.close();
        int code = context.calls().freeHost(address);
        if (!context.isDead()) {
            context.check("freeing page-locked memory", code);
        }
    }
}

package org.respec.bindings.gpu.jcuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuEvent;

final class JcudaEvent implements GpuEvent, Context.Resource {
    private final Context context;
    private final Handles.Event handle = new Handles.Event();
    private final MemorySegment milliseconds = Arena.ofAuto().allocate(ValueLayout.JAVA_FLOAT);
    private boolean alive = true;

    JcudaEvent(Context context) {
        this.context = context;
        context.run("cuEventCreate", () -> JCudaDriver.cuEventCreate(handle, 0));
        context.add(this);
    }

    long raw(Context owner) {
        if (!alive) {
            throw new IllegalStateException("an event is used after it was closed");
        }
        if (owner != context) {
            throw new IllegalArgumentException("an event of another driver");
        }
        return handle.raw();
    }

    @Override
    public void synchronize() {
        context.enter();
        context.check("waiting for an event", context.calls().waitEvent(raw(context)));
    }

    @Override
    public boolean isDone() {
        context.enter();
        int code = context.calls().queryEvent(raw(context));
        if (code == CudaErrors.NOT_READY) {
            return false;
        }
        context.check("asking for an event", code);
        return true;
    }

    @Override
    public double secondsSince(GpuEvent earlier) {
        if (!(earlier instanceof JcudaEvent from)) {
            throw new IllegalArgumentException("an event of another driver");
        }
        context.enter();
        context.check("asking for the time between two events", context.calls().elapsed(milliseconds, from.raw(context), raw(context)));
        return milliseconds.get(ValueLayout.JAVA_FLOAT, 0) * 1e-3;
    }

    @Override
    public void close() {
        if (alive && !context.isClosed()) {
            context.release(this);
        }
    }

    @Override
    public void release() {
        alive = false;
        JCudaDriver.cuEventDestroy(handle);
    }
}

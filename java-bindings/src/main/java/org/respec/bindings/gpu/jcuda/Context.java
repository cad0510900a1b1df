package org.respec.bindings.gpu.jcuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import jcuda.CudaException;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuException;

/**
 * The device's context as all parts of a driver see it: entered before each call, told of each error, and dead after an error of a
 * kernel. Everything that was made in it is listed here, so that closing it frees it all.
 */
final class Context {
    /** A thing of this context that must be given back. */
    interface Resource {
        /** Gives it back, whatever happens; called once. */
        void release();
    }

    /** A call of JCuda; it throws, for exceptions are on. */
    interface JcudaCall {
        int run();
    }

    private final DriverCalls calls;
    private final long handle;
    private final GpuDevice device;
    private final LaunchHistory history = new LaunchHistory();
    private final PinnedRanges pinned = new PinnedRanges();
    private final Set<Resource> resources = Collections.newSetFromMap(new IdentityHashMap<>());
    private final List<Resource> order = new ArrayList<>();
    private String dead;
    private boolean closed;
    private int captures;

    Context(DriverCalls calls, long handle, GpuDevice device) {
        this.calls = calls;
        this.handle = handle;
        this.device = device;
    }

    DriverCalls calls() {
        return calls;
    }

    GpuDevice device() {
        return device;
    }

    LaunchHistory history() {
        return history;
    }

    PinnedRanges pinned() {
        return pinned;
    }

    boolean isDead() {
        return dead != null;
    }

    /**
     * Makes the context the calling thread's. Always, since another driver or library may have changed it, and the call costs less than
     * knowing better.
     */
    void enter() {
        if (closed) {
            throw new IllegalStateException("the GPU driver is closed");
        }
        if (dead != null) {
            throw new GpuException("the GPU driver is dead since an earlier error, close it and open another: " + dead);
        }
        int code = calls.setCurrent(handle);
        if (code != 0) {
            throw failure("cuCtxSetCurrent", code);
        }
    }

    /** Enters without asking whether the context is alive, to free things. */
    void enterToFree() {
        calls.setCurrent(handle);
    }

    void check(String what, int code) {
        if (code != 0) {
            throw failure(what, code);
        }
    }

    /** Runs a call of JCuda in this context. */
    void run(String what, JcudaCall call) {
        enter();
        try {
            call.run();
        } catch (CudaException e) {
            throw failure(what, CudaErrors.code(e));
        }
    }

    /** What to throw for an error; the context is dead from then on if the error is one that kills it. */
    GpuException failure(String what, int code) {
        String text = what + " on " + device.name() + " failed: " + CudaErrors.describe(code);
        if (!CudaErrors.killsContext(code)) {
            return new GpuException(text);
        }
        dead = text;
        return new GpuException(text + "; the device reports this late, so one of these did it. The driver is dead now.\n"
            + history.describe());
    }

    /** Whether any stream is being captured. */
    boolean isCapturing() {
        return captures > 0;
    }

    void captureBegan() {
        captures++;
    }

    void captureEnded() {
        captures--;
    }

    /**
     * Waits until the device has done all it was asked, before memory is freed.
     *
     * @throws IllegalStateException while a stream is captured: the graph would hold on to what is freed
     */
    void drain(String what) {
        if (captures > 0) {
            throw new IllegalStateException(what + " while a stream is being captured");
        }
        if (dead == null) {
            run(what, jcuda.driver.JCudaDriver::cuCtxSynchronize);
        }
    }

    void add(Resource resource) {
        resources.add(resource);
        order.add(resource);
    }

    /** Gives one thing back; nothing if that was done before. */
    void release(Resource resource) {
        if (resources.remove(resource)) {
            order.remove(resource);
            free(resource);
        }
    }

    private void free(Resource resource) {
        enterToFree();
        try {
            resource.release();
        } catch (CudaException e) {
            if (dead == null) {
                throw failure("freeing " + resource, CudaErrors.code(e));
            }
            // In a dead context nothing can be freed one by one: it goes with the context.
        }
    }

    /** Gives everything back, newest first. */
    void close() {
        if (closed) {
            return;
        }
        RuntimeException first = null;
        for (Resource resource : order.reversed()) {
            try {
                if (resources.remove(resource)) {
                    free(resource);
                }
            } catch (RuntimeException e) {
                first = first == null ? e : first;
            }
        }
        order.clear();
        closed = true;
        if (first != null) {
            throw first;
        }
    }

    boolean isClosed() {
        return closed;
    }
}

package org.respec.bindings.gpu.jcuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.ReentrantLock;
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
    private final List<LaunchHistory> histories = new CopyOnWriteArrayList<>();
    private final PinnedRanges pinned = new PinnedRanges();
    private final Set<Resource> resources = Collections.newSetFromMap(new IdentityHashMap<>());
    private final List<Resource> order = new ArrayList<>();
    /**
     * Held while a stream is captured, by its thread, and while something is freed: a device that is captured from must not be waited for,
     * and a graph would hold on to what is freed.
     */
    private final ReentrantLock quiet = new ReentrantLock();
    private volatile String dead;
    private volatile boolean closed;

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

    /** The last launches of one more stream. */
    LaunchHistory newHistory() {
        LaunchHistory history = new LaunchHistory();
        histories.add(history);
        return history;
    }

    void forget(LaunchHistory history) {
        histories.remove(history);
    }

    private String launches() {
        List<String> texts = histories.stream().filter(LaunchHistory::any).map(LaunchHistory::describe).toList();
        return texts.isEmpty() ? "nothing was launched before" : String.join("\nof another stream, ", texts);
    }

    PinnedRanges pinned() {
        return pinned;
    }

    boolean isDead() {
        return dead != null;
    }

    /** What to throw once an error has killed the context: CUDA has no way back from it but a new process. */
    static GpuException gone(String error) {
        return new GpuException("the GPU driver is dead since an earlier error, start the program again: " + error);
    }

    /** For a context that nothing was launched in yet: what to throw for the first failure, which an earlier driver's error may be. */
    RuntimeException firstFailure(RuntimeException e) {
        return dead != null ? gone(dead) : e;
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
            throw gone(dead);
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
        return new GpuException(text + "; the device reports this late, so one of these did it. The driver is dead now, start the program"
            + " again.\n"
            + launches());
    }

    /** Whether the calling thread is capturing a stream. */
    boolean isCapturing() {
        return quiet.isHeldByCurrentThread();
    }

    /** Before a capture: waits until nobody frees anything. */
    void captureBegins() {
        quiet.lock();
    }

    /** After it; does nothing in a thread that captures nothing. */
    void captureEnded() {
        if (quiet.isHeldByCurrentThread()) {
            quiet.unlock();
        }
    }

    /**
     * Gives back a thing that the device may be using: waits until it has done all it was asked, and for other threads' captures to end.
     *
     * @throws IllegalStateException while the calling thread captures a stream
     */
    void retire(String what, Resource resource) {
        if (isCapturing()) {
            throw new IllegalStateException(what + " while a stream is being captured");
        }
        quiet.lock();
        try {
            if (dead == null) {
                run(what, jcuda.driver.JCudaDriver::cuCtxSynchronize);
            }
            release(resource);
        } finally {
            quiet.unlock();
        }
    }

    synchronized void add(Resource resource) {
        resources.add(resource);
        order.add(resource);
    }

    /** Gives one thing back; nothing if that was done before. */
    void release(Resource resource) {
        if (remove(resource)) {
            free(resource);
        }
    }

    private synchronized boolean remove(Resource resource) {
        return resources.remove(resource) && order.remove(resource);
    }

    private synchronized List<Resource> newestFirst() {
        return List.copyOf(order.reversed());
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
        for (Resource resource : newestFirst()) {
            try {
                release(resource);
            } catch (RuntimeException e) {
                first = first == null ? e : first;
            }
        }
        closed = true;
        if (first != null) {
            throw first;
        }
    }

    boolean isClosed() {
        return closed;
    }
}

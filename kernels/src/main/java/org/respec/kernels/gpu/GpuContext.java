package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.memory.HostArena;
import org.respec.kernels.OutOfDeviceMemory;

/** What the launch classes of one set of operators share: the stream they launch in, and what operators on the device have together. */
final class GpuContext implements AutoCloseable {
    private final GpuShare share;
    private final GpuStream stream;
    private final HostArena arguments = new HostArena("kernel arguments");
    private final Faults faults;
    private final GraphMemory graphs;
    private boolean recording;

    /** For operators alone on a driver. */
    GpuContext(GpuDriver driver) {
        this(new GpuShare(driver), driver.urgentStream());
    }

    /** @param stream taken over */
    GpuContext(GpuShare share, GpuStream stream) {
        this.share = share;
        this.stream = stream;
        this.faults = new Faults(share.driver());
        this.graphs = new GraphMemory(this);
    }

    GpuDriver driver() {
        return share.driver();
    }

    GpuShare share() {
        return share;
    }

    /** Device memory, zero-filled. Throws {@link OutOfDeviceMemory} if there is not so much left. */
    GpuMemory allocate(long bytes) {
        share.changed();
        try {
            return driver().allocate(bytes);
        } catch (GpuOutOfMemory e) {
            throw new OutOfDeviceMemory(e.getMessage(), e);
        } finally {
            share.changed();
        }
    }

    GpuStream stream() {
        return stream;
    }

    Faults faults() {
        return faults;
    }

    /** What graphs of these operators take. */
    GraphMemory graphs() {
        return graphs;
    }

    /** A struct for one kernel's arguments, alive as long as this. */
    Arguments arguments(int bytes) {
        return new Arguments(arguments, (bytes + 7) & ~7);
    }

    /** The kernel, compiled and loaded the first time it is asked for; see {@link LoadedKernel}. */
    GpuKernel kernel(KernelSpec spec) {
        return share.kernel(spec);
    }

    /** Whether work is being recorded: nothing runs, and what is copied from or to host memory would be kept for ever. */
    boolean isRecording() {
        return recording;
    }

    /** What {@code work} launches, as a graph; nothing is run. Throws if something in it cannot be recorded. */
    GpuGraph record(Runnable work) {
        stream.beginCapture();
        recording = true;
        RuntimeException failure = null;
        try {
            work.run();
        } catch (RuntimeException e) {
            failure = e;
        }
        recording = false;
        try {
            GpuGraph graph = stream.endCapture();
            if (failure == null) {
                return graph;
            }
            graph.close();
        } catch (RuntimeException e) {
            if (failure == null) {
                throw e;
            }
            failure.addSuppressed(e);
        }
        throw failure;
    }

    /** Does not close the driver. */
    @Override
    public void close() {
        stream.synchronize();
        faults.close();
        stream.close();
        arguments.close();
    }
}

package org.respec.bindings.gpu.jcuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUgraph;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.bindings.gpu.GpuStream;

/**
 * A stream that waits for no other. Its launches are for one thread at a time; memory, events and captures of others do not disturb them.
 *
 * <p>Copies from and to page-locked memory return at once. With other host memory a copy waits for the stream before it returns: the
 * driver may or may not stage such a copy, depending on the machine, and a caller who reuses the memory must not depend on that. A thread
 * that captures a stream may copy only page-locked memory (a second stream may have been drawn into the capture by an event); a graph
 * reads it at every launch, so it must live as long as the graph.
 */
final class JcudaStream implements GpuStream, Context.Resource {
    private static final int MOST_GRID_Y_Z = 65535;

    private final Context context;
    private final Handles.Stream handle = new Handles.Stream();
    private final Arena arena = Arena.ofShared();
    /** The kernel's parameter array: one pointer, to the struct of the launch at hand. The driver reads both before it returns. */
    private final MemorySegment parameters = arena.allocate(ValueLayout.JAVA_LONG);
    private final List<String> captured = new ArrayList<>();
    private final LaunchHistory history;
    private long waits;
    private boolean capturing;
    private boolean alive = true;

    /** @param urgent whether its work goes before that of streams which are not */
    JcudaStream(Context context, boolean urgent) {
        this.context = context;
        int[] least = new int[1];
        int[] greatest = new int[1];
        context.run("cuCtxGetStreamPriorityRange", () -> JCudaDriver.cuCtxGetStreamPriorityRange(least, greatest));
        context.run("cuStreamCreateWithPriority", () -> JCudaDriver.cuStreamCreateWithPriority(handle,
            CUstream_flags.CU_STREAM_NON_BLOCKING, urgent ? greatest[0] : least[0]));
        history = context.newHistory();
        context.add(this);
    }

    /** Its last launches, products included. */
    LaunchHistory history() {
        return history;
    }

    Handles.Stream handle() {
        return handle;
    }

    private void enter() {
        if (!alive) {
            throw new IllegalStateException("a stream is used after it was closed");
        }
        context.enter();
    }

    @Override
    public void copyIn(MemorySegment from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
        enter();
        long source = host(from, fromOffset, bytes);
        long target = device(to, toOffset, bytes);
        if (bytes == 0) {
            return;
        }
        boolean pageable = isPageable(source, bytes);
        context.check("a copy to the device", context.calls().copyIn(target, source, bytes, handle.raw()));
        if (pageable) {
            synchronize();
        }
    }

    @Override
    public void copyOut(GpuMemory from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
        enter();
        if (to.isReadOnly()) {
            throw new IllegalArgumentException("a copy from the device into read-only memory");
        }
        long target = host(to, toOffset, bytes);
        long source = device(from, fromOffset, bytes);
        if (bytes == 0) {
            return;
        }
        boolean pageable = isPageable(target, bytes);
        context.check("a copy from the device", context.calls().copyOut(target, source, bytes, handle.raw()));
        if (pageable) {
            synchronize();
        }
    }

    @Override
    public void copy(GpuMemory from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
        enter();
        long source = device(from, fromOffset, bytes);
        long target = device(to, toOffset, bytes);
        if (bytes == 0) {
            return;
        }
        if (source < target + bytes && target < source + bytes) {
            throw new IllegalArgumentException("a copy on the device between ranges that overlap");
        }
        context.check("a copy on the device", context.calls().copy(target, source, bytes, handle.raw()));
    }

    @Override
    public void fill(GpuMemory to, long toOffset, int word, long count) {
        enter();
        if (toOffset % 4 != 0) {
            throw new IllegalArgumentException("a fill of words from byte " + toOffset + " on, which is not a multiple of 4");
        }
        long target = device(to, toOffset, Math.multiplyExact(count, 4L));
        if (count == 0) {
            return;
        }
        context.check("a fill on the device", context.calls().fill(target, word, count, handle.raw()));
    }

    private long host(MemorySegment segment, long offset, long bytes) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException("a copy with memory of the Java heap: the device needs off-heap memory");
        }
        if (!segment.scope().isAlive()) {
            throw new IllegalStateException("a copy with host memory that was closed");
        }
        if (offset < 0 || bytes < 0 || offset > segment.byteSize() - bytes) {
            throw new IndexOutOfBoundsException("bytes " + offset + " to " + (offset + bytes) + " of host memory of " + segment.byteSize()
                + " bytes");
        }
        return segment.address() + offset;
    }

    private long device(GpuMemory memory, long offset, long bytes) {
        if (!(memory instanceof JcudaMemory own)) {
            throw new IllegalArgumentException("device memory of another driver");
        }
        return own.address(context, offset, bytes);
    }

    private boolean isPageable(long address, long bytes) {
        boolean pageable = !context.pinned().contains(address, bytes);
        if (pageable && context.isCapturing()) {
            throw new IllegalArgumentException("a copy during a capture needs page-locked host memory");
        }
        return pageable;
    }

    @Override
    public void launch(GpuKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
        MemorySegment arguments) {
        enter();
        if (!(kernel instanceof JcudaKernel own)) {
            throw new IllegalArgumentException(kernel.name() + " belongs to another driver");
        }
        if (gridX < 1 || gridY < 1 || gridZ < 1 || gridY > MOST_GRID_Y_Z || gridZ > MOST_GRID_Y_Z || blockX < 1 || blockY < 1) {
            throw new IllegalArgumentException(own.name() + ": no device runs" + LaunchHistory.shape(gridX, gridY, gridZ, blockX, blockY,
                sharedBytes));
        }
        if (!arguments.isNative() || !arguments.scope().isAlive()) {
            throw new IllegalArgumentException(own.name() + ": arguments must be in off-heap memory that is not closed");
        }
        long function = own.prepare(context, Math.multiplyExact(blockX, blockY), sharedBytes, arguments.byteSize());
        parameters.set(ValueLayout.JAVA_LONG, 0, arguments.address());
        history.add(own, gridX, gridY, gridZ, blockX, blockY, sharedBytes);
        if (capturing) {
            captured.add(own.name());
        }
        int code = context.calls().launch(function, gridX, gridY, gridZ, blockX, blockY, sharedBytes, handle.raw(), parameters.address());
        if (code != 0) {
            throw context.failure("launch of " + own.name() + LaunchHistory.shape(gridX, gridY, gridZ, blockX, blockY, sharedBytes), code);
        }
    }

    void launch(Context owner, JcudaGraph graph) {
        enter();
        if (owner != context) {
            throw new IllegalArgumentException("a stream of another driver");
        }
        long executable = graph.raw();
        history.add(graph, 0, 0, 0, 0, 0, 0);
        int code = context.calls().launchGraph(executable, handle.raw());
        if (code == CudaErrors.OUT_OF_MEMORY) {
            throw new GpuOutOfMemory("launch of a " + graph + " on " + context.device().name() + " failed: " + CudaErrors.describe(code));
        }
        context.check("launch of a graph", code);
    }

    @Override
    public void record(GpuEvent event) {
        enter();
        context.check("recording an event", context.calls().record(own(event).raw(context), handle.raw()));
    }

    @Override
    public void await(GpuEvent event) {
        enter();
        context.check("waiting for an event in a stream", context.calls().await(handle.raw(), own(event).raw(context)));
    }

    private static JcudaEvent own(GpuEvent event) {
        if (!(event instanceof JcudaEvent own)) {
            throw new IllegalArgumentException("an event of another driver");
        }
        return own;
    }

    @Override
    public void synchronize() {
        enter();
        if (capturing) {
            throw new IllegalStateException("a stream that is being captured cannot be waited for");
        }
        waits++;
        context.check("waiting for a stream", context.calls().waitStream(handle.raw()));
    }

    @Override
    public long launches() {
        return history.count();
    }

    @Override
    public long waits() {
        return waits;
    }

    /**
     * Relaxed capture: a kernel that is used for the first time may be compiled and loaded, and memory allocated, meanwhile, by any thread.
     * Who frees memory waits for the end of the capture.
     */
    @Override
    public void beginCapture() {
        enter();
        if (capturing) {
            throw new IllegalStateException("the stream is being captured already");
        }
        context.captureBegins();
        try {
            context.run("cuStreamBeginCapture", () -> JCudaDriver.cuStreamBeginCapture(handle,
                CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED));
            capturing = true;
        } finally {
            if (!capturing) {
                context.captureEnded();
            }
        }
        captured.clear();
    }

    @Override
    public GpuGraph endCapture() {
        enter();
        if (!capturing) {
            throw new IllegalStateException("the stream is not being captured");
        }
        if (!context.isCapturing()) {
            throw new IllegalStateException("a capture ends in the thread that it began in");
        }
        capturing = false;
        CUgraph graph = new CUgraph();
        try {
            context.run("cuStreamEndCapture", () -> JCudaDriver.cuStreamEndCapture(handle, graph));
        } finally {
            context.captureEnded();
        }
        return new JcudaGraph(context, graph, captured);
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
        if (capturing) {
            capturing = false;
            context.captureEnded();
        }
        context.forget(history);
        arena.close();
        JCudaDriver.cuStreamDestroy(handle);
    }
}

package org.respec.bindings.gpu.emulator;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.memory.RawMemory;

/** Work is done at once, by the caller's thread, or recorded while a graph is captured. */
final class EmulatedStream implements GpuStream {
    private static final int MOST_THREADS = 1024;
    private static final int MOST_GRID_YZ = 65_535;

    private final EmulatorDriver driver;
    private List<Runnable> captured;
    private Arena capturedArguments;
    private boolean closed;
    private long launches;
    private long waits;

    EmulatedStream(EmulatorDriver driver) {
        this.driver = driver;
    }

    EmulatorDriver driver() {
        return driver;
    }

    private void check() {
        driver.check();
        if (closed) {
            throw new IllegalStateException("the stream is closed");
        }
    }

    /** Does the work now, or keeps it for the graph. */
    void run(Runnable work) {
        check();
        if (captured != null) {
            captured.add(work);
        } else {
            work.run();
        }
    }

    private EmulatedMemory own(String operation, GpuMemory memory) {
        if (memory instanceof EmulatedMemory own && own.driver() == driver) {
            return own;
        }
        throw new IllegalArgumentException(operation + ": the memory is another device's");
    }

    private static void checkHost(String operation, MemorySegment host, long offset, long bytes) {
        if (!host.isNative()) {
            throw new IllegalArgumentException(operation + ": host memory must be off-heap");
        }
        if (offset < 0 || bytes < 0 || offset > host.byteSize() - bytes) {
            throw new IllegalArgumentException(operation + ": " + bytes + " bytes from " + offset + " on are not in host memory of "
                + host.byteSize() + " bytes");
        }
    }

    @Override
    public void copyIn(MemorySegment from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
        check();
        checkHost("copyIn", from, fromOffset, bytes);
        EmulatedMemory target = own("copyIn", to);
        target.address("copyIn", toOffset, bytes);
        driver.count(EmulatorDriver.Call.COPY_IN);
        run(() -> MemorySegment.copy(from, fromOffset, RawMemory.ALL, target.address() + toOffset, bytes));
    }

    @Override
    public void copyOut(GpuMemory from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
        check();
        checkHost("copyOut", to, toOffset, bytes);
        EmulatedMemory source = own("copyOut", from);
        source.address("copyOut", fromOffset, bytes);
        driver.count(EmulatorDriver.Call.COPY_OUT);
        run(() -> MemorySegment.copy(RawMemory.ALL, source.address() + fromOffset, to, toOffset, bytes));
    }

    @Override
    public void copy(GpuMemory from, long fromOffset, GpuMemory to, long toOffset, long bytes) {
        check();
        EmulatedMemory source = own("copy", from);
        EmulatedMemory target = own("copy", to);
        source.address("copy", fromOffset, bytes);
        target.address("copy", toOffset, bytes);
        if (source == target && Math.abs(fromOffset - toOffset) < bytes) {
            throw new IllegalArgumentException("copy: " + bytes + " bytes from " + fromOffset + " to " + toOffset + " overlap");
        }
        run(() -> RawMemory.copy(source.address() + fromOffset, target.address() + toOffset, bytes));
    }

    @Override
    public void fill(GpuMemory to, long toOffset, int word, long count) {
        check();
        EmulatedMemory target = own("fill", to);
        if (toOffset % 4 != 0) {
            throw new IllegalArgumentException("fill: the offset " + toOffset + " is no multiple of 4");
        }
        target.address("fill", toOffset, Math.multiplyExact(4L, count));
        run(() -> fill(target.address() + toOffset, word, count));
    }

    private static void fill(long address, int word, long count) {
        if (count == 0) {
            return;
        }
        RawMemory.ALL.set(ValueLayout.JAVA_INT, address, word);
        // Doubles what is filled.
        for (long done = 1; done < count; done *= 2) {
            RawMemory.copy(address, address + 4 * done, 4 * Math.min(done, count - done));
        }
    }

    @Override
    public void launch(GpuKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
                       MemorySegment arguments) {
        check();
        EmulatedKernel own = (EmulatedKernel) kernel;
        checkLaunch(own, gridX, gridY, gridZ, blockX, blockY, sharedBytes, arguments);
        driver.count(EmulatorDriver.Call.LAUNCH);
        countLaunch();
        if (captured == null) {
            driver.launch(own, gridX, gridY, gridZ, blockX, blockY, sharedBytes, arguments.address());
            return;
        }
        MemorySegment copy = capturedArguments.allocate(Math.max(8, arguments.byteSize()), 64);
        MemorySegment.copy(arguments, 0, copy, 0, arguments.byteSize());
        captured.add(() -> driver.launch(own, gridX, gridY, gridZ, blockX, blockY, sharedBytes, copy.address()));
    }

    private void checkLaunch(EmulatedKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
                             MemorySegment arguments) {
        if (gridX < 1 || gridY < 1 || gridY > MOST_GRID_YZ || gridZ < 1 || gridZ > MOST_GRID_YZ || blockX < 1 || blockY < 1
            || (long) blockX * blockY > MOST_THREADS) {
            throw new GpuException("launch of " + kernel.name() + ": a grid of " + gridX + "x" + gridY + "x" + gridZ + " blocks of "
                + blockX + "x" + blockY + " threads is none a device can run");
        }
        int most = driver.device().sharedBytesPerBlock() - kernel.staticSharedBytes();
        if (sharedBytes < 0 || sharedBytes > most) {
            throw new GpuException("launch of " + kernel.name() + ": " + sharedBytes + " bytes of dynamic shared memory, at most " + most
                + " are left beside its static ones");
        }
        // Launch classes round the struct up to 8 bytes, alignment of a field may do so to 16.
        if (arguments.byteSize() < kernel.argumentBytes() || arguments.byteSize() >= kernel.argumentBytes() + 16L) {
            throw new GpuException("launch of " + kernel.name() + ": its argument struct has " + kernel.argumentBytes() + " bytes, got "
                + arguments.byteSize());
        }
        if (!kernel.module().isAlive()) {
            throw new IllegalStateException("launch of " + kernel.name() + ": its module is closed");
        }
    }

    @Override
    public void record(GpuEvent event) {
        run(((EmulatedEvent) event)::record);
    }

    @Override
    public void await(GpuEvent event) {
        check();
        ((EmulatedEvent) event).check();
    }

    @Override
    public void synchronize() {
        check();
        driver.count(EmulatorDriver.Call.WAIT);
        waits++;
        if (captured != null) {
            throw new GpuException("a stream cannot be waited for while a graph is captured from it");
        }
    }

    /** A kernel, a product or a graph is launched. */
    void countLaunch() {
        launches++;
    }

    @Override
    public long launches() {
        return launches;
    }

    @Override
    public long waits() {
        return waits;
    }

    @Override
    public void beginCapture() {
        check();
        if (captured != null) {
            throw new GpuException("a graph is being captured from this stream already");
        }
        captured = new ArrayList<>();
        capturedArguments = Arena.ofShared();
    }

    @Override
    public GpuGraph endCapture() {
        check();
        if (captured == null) {
            throw new GpuException("no graph is being captured from this stream");
        }
        EmulatedGraph graph = new EmulatedGraph(captured, capturedArguments);
        captured = null;
        capturedArguments = null;
        return graph;
    }

    @Override
    public void close() {
        closed = true;
        if (capturedArguments != null) {
            capturedArguments.close();
            capturedArguments = null;
            captured = null;
        }
    }
}

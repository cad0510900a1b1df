package org.respec.bindings.gpu.emulator;

import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLongArray;
import org.respec.bindings.blas.OpenBlas;
import org.respec.bindings.gpu.GpuBlas;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.gpu.PinnedMemory;

/**
 * A device that is none: the same CUDA text, compiled by the host's C++ compiler and run on the host. Blocks run one after another, the
 * threads of a block as fibres, work is done when it is asked for. What a kernel does wrong is thrown at its launch, and ends this
 * driver's context, as on a real device; the process is never harmed.
 *
 * <p>One kernel runs at a time in a process, whatever the number of drivers.
 */
public final class EmulatorDriver implements GpuDriver {
    /** Of an H100, so that launch rules come out as they do there. */
    private static final int SHARED_BYTES = 227 * 1024;
    private static final long L2_BYTES = 50L << 20;
    private static final int CUDA_VERSION = 12_000;
    /** Addresses in relation to memory: many, so that those of freed memory are not used again soon. */
    private static final long SPAN_FACTOR = 8;

    private final EmulatorRuntime runtime;
    private final KernelBuilder builder;
    private final GpuDevice device;
    private final long handle;
    private final Queue<EmulatedModule> modules = new ConcurrentLinkedQueue<>();
    private final Set<EmulatedPinned> pinned = ConcurrentHashMap.newKeySet();
    private final AtomicLongArray calls = new AtomicLongArray(Call.values().length);
    private OpenBlas blas;
    private volatile String death;
    private volatile boolean open = true;

    /** Calls of a driver that cost a host time. */
    public enum Call {
        /** Kernels and products that were launched or recorded one by one. */
        LAUNCH,
        /** Graphs that were launched. */
        GRAPH,
        COPY_IN,
        COPY_OUT,
        /** Waits for a stream. */
        WAIT
    }

    private EmulatorDriver(EmulatorOptions options) {
        HostCompiler compiler = HostCompiler.find();
        LibraryCache cache = new LibraryCache(options.cache());
        runtime = new EmulatorRuntime(compiler, cache);
        builder = new KernelBuilder(compiler, cache, runtime, options.checked());
        String name = "emulator (host, " + compiler.title() + ", " + (options.checked() ? "checked" : "unchecked") + ")";
        device = new GpuDevice(name, "emulated", "", options.multiprocessors(), SHARED_BYTES, L2_BYTES,
            options.memoryBytes(), CUDA_VERSION);
        long span = (SPAN_FACTOR * options.memoryBytes() + (1L << 30)) >>> 12 << 12;
        handle = runtime.open(options.memoryBytes(), span, options.checked(), options.launchSeconds());
        if (handle == 0) {
            throw new GpuException("the host has no " + span + " bytes of addresses for an emulated device of " + options.memoryBytes()
                + " bytes: give it less memory");
        }
    }

    /**
     * A device of its own.
     *
     * @throws GpuException if this machine has no C++ compiler or is no Linux on x86-64, saying what to install
     */
    public static EmulatorDriver open(EmulatorOptions options) {
        return new EmulatorDriver(options);
    }

    @Override
    public GpuDevice device() {
        return device;
    }

    /** How often something was called so far, by all streams. */
    public long calls(Call call) {
        return calls.get(call.ordinal());
    }

    void count(Call call) {
        calls.incrementAndGet(call.ordinal());
    }

    boolean isOpen() {
        return open;
    }

    /** Throws if this is closed or a kernel has gone wrong. */
    void check() {
        if (!open) {
            throw new IllegalStateException("the emulated device is closed");
        }
        if (death != null) {
            throw new GpuException("the context of the emulated device is dead since a kernel failed: " + death);
        }
    }

    @Override
    public GpuMemory allocate(long bytes) {
        check();
        checkSize(bytes);
        long address = runtime.allocate(handle, bytes, false);
        if (address == 0) {
            throw new GpuOutOfMemory("the emulated device has no " + bytes + " bytes left, only " + freeBytes() + " of "
                + device.memoryBytes());
        }
        return new EmulatedMemory(this, address, bytes);
    }

    @Override
    public PinnedMemory allocatePinned(long bytes) {
        check();
        checkSize(bytes);
        long address = runtime.allocate(handle, bytes, true);
        if (address == 0) {
            throw new GpuException("the host has no " + bytes + " bytes of page-locked memory left");
        }
        EmulatedPinned memory = new EmulatedPinned(this, address, bytes);
        pinned.add(memory);
        return memory;
    }

    private static void checkSize(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("an allocation of " + bytes + " bytes");
        }
    }

    void forget(EmulatedPinned memory) {
        pinned.remove(memory);
    }

    void free(long address) {
        runtime.free(handle, address);
    }

    /** Throws if a range is not in one living piece of memory. */
    void checkRange(String what, long address, long bytes) {
        if (!runtime.holds(handle, address, bytes)) {
            throw new IllegalArgumentException(what + ": " + bytes + " bytes at 0x" + Long.toHexString(address)
                + " are not in one piece of memory of this device");
        }
    }

    @Override
    public GpuStream stream() {
        check();
        return new EmulatedStream(this);
    }

    /** {@link #stream}: work is done when it is asked for, whatever else there is. */
    @Override
    public GpuStream urgentStream() {
        return stream();
    }

    @Override
    public GpuEvent event() {
        check();
        return new EmulatedEvent(this);
    }

    @Override
    public KernelImage compile(KernelSource source) {
        check();
        return builder.compile(source);
    }

    @Override
    public GpuModule load(KernelImage image) {
        check();
        EmulatedModule module = new EmulatedModule(image);
        modules.add(module);
        return module;
    }

    @Override
    public synchronized GpuBlas blas(GpuStream stream) {
        check();
        if (blas == null) {
            blas = OpenBlas.load();
        }
        return new EmulatedBlas(blas, (EmulatedStream) stream);
    }

    @Override
    public long blasBytes() {
        return 0;
    }

    @Override
    public long freeBytes() {
        check();
        return runtime.freeBytes(handle);
    }

    /** Runs a kernel; those of other threads wait, so that what is said of a failure is said of this one. */
    synchronized void launch(EmulatedKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
                             long arguments) {
        check();
        if (runtime.launch(handle, kernel, gridX, gridY, gridZ, blockX, blockY, sharedBytes, arguments)) {
            return;
        }
        EmulatorRuntime.Report report = runtime.report(handle);
        death = kernel.name() + ", grid (" + gridX + "," + gridY + "," + gridZ + ") of blocks (" + blockX + "," + blockY + ",1), block "
            + report.block() + ", thread " + report.thread() + ": " + SourceLines.resolve(kernel.module().file(),
            report.text() + (report.at() == 0 ? "" : " (@" + Long.toHexString(report.at()) + ")"));
        throw new GpuException(death);
    }

    @Override
    public void close() {
        if (open) {
            // The host's segments end first: nobody may read them once the memory is gone.
            List.copyOf(pinned).forEach(EmulatedPinned::close);
            open = false;
            modules.forEach(EmulatedModule::close);
            runtime.close(handle);
        }
    }
}

package org.respec.bindings.gpu.jcuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;
import jcuda.CudaException;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;
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
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nvrtc.Architectures;
import org.respec.bindings.nvrtc.CubinCache;
import org.respec.bindings.nvrtc.KernelCompiler;
import org.respec.bindings.nvrtc.KernelCompilers;

/**
 * An NVIDIA GPU through the CUDA driver: JCuda for what happens now and then, direct calls for what a step does by the hundred
 * ({@link DriverCalls}). Works in the device's primary context, which cuBLAS and other users of the process share.
 */
public final class JcudaDriver implements GpuDriver {
    /** From this size on the driver gives memory in whole granules, according to public reports; smaller pieces share one. */
    private static final long LARGE = 1L << 20;
    private static final long GRANULE = 2L << 20;

    private final CudaLibraries libraries;
    private final KernelCompiler compiler;
    private final CubinCache cache;
    private final CUdevice handle;
    private final Context context;
    /** For the zeros of new memory; no work of callers is in it, so waiting for it waits for nothing else. */
    private final JcudaStream zeros;

    private JcudaDriver(CudaLibraries libraries, KernelCompiler compiler, CubinCache cache, CUdevice handle, Context context) {
        this.libraries = libraries;
        this.compiler = compiler;
        this.cache = cache;
        this.handle = handle;
        this.context = context;
        this.zeros = new JcudaStream(context, true);
    }

    /**
     * Opens a device of this machine.
     *
     * @param ordinal number of the device, from 0
     * @throws GpuException if there is no driver, device or compiler, or one is too old, or if an error of an earlier driver has killed
     *     the device's context in this process: one sentence with the fix
     */
    public static JcudaDriver open(int ordinal) {
        return open(CudaLibraries.ofThisMachine(), CubinCache.ofUser(), ordinal);
    }

    /** Opens a device with libraries and a cache of the caller's. */
    public static JcudaDriver open(CudaLibraries libraries, CubinCache cache, int ordinal) {
        CudaDevices devices = new CudaDevices(libraries);
        CUdevice device = devices.get(ordinal);
        int capability = CudaDevices.capability(device);
        KernelCompiler compiler = KernelCompilers.forDevice(libraries, capability, devices.driverVersion());
        GpuDevice properties = devices.read(device, Architectures.forDevice(capability, compiler));
        Context context = new Context(new DriverCalls(devices.library()), retain(device).raw(), properties);
        try {
            return new JcudaDriver(libraries, compiler, cache, device, context);
        } catch (RuntimeException e) {
            try {
                JCudaDriver.cuDevicePrimaryCtxRelease(device);
            } catch (CudaException again) {
                e.addSuppressed(again);
            }
            throw context.firstFailure(e);
        }
    }

    private static Handles.Context retain(CUdevice device) {
        Handles.Context primary = new Handles.Context();
        try {
            JCudaDriver.cuDevicePrimaryCtxRetain(primary, device);
        } catch (CudaException e) {
            int code = CudaErrors.code(e);
            String text = "the NVIDIA driver's cuDevicePrimaryCtxRetain failed: " + CudaErrors.describe(code);
            throw CudaErrors.isEarlier(code) ? Context.gone(text) : new GpuException(text, e);
        }
        return primary;
    }

    @Override
    public GpuDevice device() {
        return context.device();
    }

    /** What compiles this device's kernels. */
    public KernelCompiler compiler() {
        return compiler;
    }

    @Override
    public GpuMemory allocate(long bytes) {
        check(bytes);
        context.enter();
        Handles.Memory memory = new Handles.Memory();
        long whole = Math.addExact(Math.max(bytes, 1), 3) & ~3L;
        try {
            JCudaDriver.cuMemAlloc(memory, whole);
        } catch (CudaException e) {
            throw exhausted(CudaErrors.code(e), "device memory", bytes);
        }
        JcudaMemory made = new JcudaMemory(context, memory, bytes);
        context.check("zeroing device memory", context.calls().fill(memory.raw(), 0, whole / 4, zeros.handle().raw()));
        zeros.synchronize();
        return made;
    }

    @Override
    public PinnedMemory allocatePinned(long bytes) {
        check(bytes);
        context.enter();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(ValueLayout.JAVA_LONG);
            int code = context.calls().allocateHost(address, Math.max(bytes, 1));
            if (code != 0) {
                throw exhausted(code, "page-locked host memory", bytes);
            }
            return new JcudaPinned(context, address.get(ValueLayout.JAVA_LONG, 0), bytes);
        }
    }

    private static void check(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("memory of " + bytes + " bytes");
        }
    }

    private GpuException exhausted(int code, String kind, long bytes) {
        if (code != CudaErrors.OUT_OF_MEMORY) {
            return context.failure("allocating " + kind, code);
        }
        String rest = kind.startsWith("device") ? mebibytes(freeBytes()) + " of " + mebibytes(device().memoryBytes()) + " are free on "
            + device().name() + ": use a smaller batch or model, or free the device of other processes (nvidia-smi)"
            : "the host has no more to lock: use a smaller batch, or raise the limit of locked memory (ulimit -l)";
        String message = "out of " + kind + ": " + mebibytes(bytes) + " were asked for and " + rest;
        return kind.startsWith("device") ? new GpuOutOfMemory(message) : new GpuException(message);
    }

    private static String mebibytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f MiB", bytes / 1048576.0);
    }

    @Override
    public GpuStream stream() {
        return new JcudaStream(context, false);
    }

    @Override
    public GpuStream urgentStream() {
        return new JcudaStream(context, true);
    }

    @Override
    public GpuEvent event() {
        return new JcudaEvent(context);
    }

    @Override
    public KernelImage compile(KernelSource source) {
        return cache.get(source, device().architecture(), compiler);
    }

    @Override
    public GpuModule load(KernelImage image) {
        return new JcudaModule(context, image);
    }

    @Override
    public GpuBlas blas(GpuStream stream) {
        if (!(stream instanceof JcudaStream own)) {
            throw new IllegalArgumentException("a stream of another driver");
        }
        return Cublas.open(libraries, context, own, allocate(Cublas.WORKSPACE_BYTES));
    }

    @Override
    public long blasBytes() {
        return Cublas.WORKSPACE_BYTES;
    }

    @Override
    public long allocationBytes(long bytes) {
        return bytes < LARGE ? GpuDriver.super.allocationBytes(bytes) : Math.ceilDiv(bytes, GRANULE) * GRANULE;
    }

    @Override
    public long freeBytes() {
        long[] free = new long[1];
        long[] total = new long[1];
        context.run("cuMemGetInfo", () -> JCudaDriver.cuMemGetInfo(free, total));
        return free[0];
    }

    @Override
    public void close() {
        if (context.isClosed()) {
            return;
        }
        try {
            if (!context.isDead()) {
                context.run("waiting for the device", JCudaDriver::cuCtxSynchronize);
            }
        } finally {
            try {
                context.close();
            } finally {
                // A dead context refuses even this; what it held goes with the process.
                try {
                    JCudaDriver.cuDevicePrimaryCtxRelease(handle);
                } catch (CudaException e) {
                    if (!context.isDead()) {
                        throw context.failure("cuDevicePrimaryCtxRelease", CudaErrors.code(e));
                    }
                }
            }
        }
    }
}

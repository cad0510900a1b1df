package org.respec.bindings.nvml;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.HashMap;
import java.util.Map;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.CudaLibrary;
import org.respec.bindings.nativelib.NativeLibrary;

/**
 * NVIDIA's management library: what a device is doing, seen from outside. It sees all processes and needs no CUDA context. Devices are
 * named by UUID, since NVML counts them in another order than CUDA.
 *
 * <p>Functions and structs as in {@code nvml.h} of CUDA 12.9 and 13.0 (drivers 575 and 580). A function that an older driver lacks, or
 * a device refuses, leaves its number unknown with a sentence that says why.
 */
public final class Nvml implements AutoCloseable {
    private static final int UUID_BUFFER = 96;

    private final NativeLibrary library;
    private final Map<String, MethodHandle> functions = new HashMap<>();
    private boolean open = true;

    private Nvml(NativeLibrary library) {
        this.library = library;
        check("nvmlInit_v2", call("nvmlInit_v2"));
    }

    /** Starts NVML; {@link GpuException} if this machine has none, saying what to install. */
    public static Nvml open(CudaLibraries libraries) {
        return new Nvml(libraries.require(CudaLibrary.NVML));
    }

    /** Version of the NVIDIA driver, for instance {@code 580.65.06}. */
    public String driverVersion() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(UUID_BUFFER);
            check("nvmlSystemGetDriverVersion", call("nvmlSystemGetDriverVersion", text, UUID_BUFFER));
            return text.getString(0);
        }
    }

    /**
     * The device with this UUID.
     *
     * @param uuid {@code GPU-...}, as {@code GpuDevice} has it
     * @throws GpuException if NVML knows none
     */
    public NvmlDevice device(String uuid) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment slot = arena.allocate(ADDRESS);
            check("nvmlDeviceGetHandleByUUID of " + uuid, call("nvmlDeviceGetHandleByUUID", arena.allocateFrom(uuid), slot));
            return new NvmlDevice(this, slot.get(ADDRESS, 0));
        }
    }

    /** Calls a function that returns an {@code nvmlReturn_t}; 13 (FUNCTION_NOT_FOUND) if this driver has none of this name. */
    int call(String name, Object... arguments) {
        if (!open) {
            throw new IllegalStateException("NVML is used after it was closed");
        }
        MethodHandle function = functions.get(name);
        if (function == null) {
            if (!library.has(name)) {
                return NvmlErrors.FUNCTION_NOT_FOUND;
            }
            MemoryLayout[] shape = new MemoryLayout[arguments.length];
            for (int i = 0; i < shape.length; i++) {
                shape[i] = arguments[i] instanceof Integer ? JAVA_INT : ADDRESS;
            }
            function = library.function(name, FunctionDescriptor.of(JAVA_INT, shape));
            functions.put(name, function);
        }
        try {
            return (int) function.invokeWithArguments(arguments);
        } catch (Throwable t) {
            throw new IllegalStateException("a call of " + name + " could not be made", t);
        }
    }

    private static void check(String what, int code) {
        if (code != 0) {
            throw new GpuException(what + " failed: " + NvmlErrors.describe(code));
        }
    }

    @Override
    public void close() {
        if (open) {
            int ignored = call("nvmlShutdown");
            open = false;
        }
    }
}

package org.respec.bindings.gpu.jcuda;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import jcuda.CudaException;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUuuid;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.JcudaNatives;
import org.respec.bindings.nativelib.NativeLibrary;

/** The driver and its devices, before a context is made. */
public final class CudaDevices {
    /** What JCuda's natives and the calls here need. */
    private static final int OLDEST_DRIVER = 12000;

    private final NativeLibrary library;
    private final int driverVersion;
    private final int count;

    /**
     * Starts the driver.
     *
     * @throws GpuException if there is no driver, it is too old, or it finds no device: one sentence with the fix
     */
    public CudaDevices(CudaLibraries libraries) {
        library = JcudaNatives.driver(libraries);
        int[] value = new int[1];
        call("cuDriverGetVersion", () -> JCudaDriver.cuDriverGetVersion(value));
        driverVersion = value[0];
        if (driverVersion < OLDEST_DRIVER) {
            throw new GpuException("the NVIDIA driver is of CUDA " + driverVersion / 1000 + "." + driverVersion % 1000 / 10
                + ": install one of CUDA 12.0 or newer (driver 525)");
        }
        call("cuInit", () -> JCudaDriver.cuInit(0));
        call("cuDeviceGetCount", () -> JCudaDriver.cuDeviceGetCount(value));
        count = value[0];
        if (count == 0) {
            throw new GpuException("the NVIDIA driver: " + CudaErrors.describe(CudaErrors.NO_DEVICE));
        }
    }

    NativeLibrary library() {
        return library;
    }

    /** CUDA version of the driver, for instance 13000. */
    public int driverVersion() {
        return driverVersion;
    }

    /** Every device, with its plain architecture, for instance {@code sm_90}. */
    public List<GpuDevice> list() {
        List<GpuDevice> devices = new ArrayList<>();
        for (int ordinal = 0; ordinal < count; ordinal++) {
            devices.add(read(get(ordinal), "sm_" + capability(get(ordinal))));
        }
        return devices;
    }

    /** @throws GpuException if there is no such device */
    CUdevice get(int ordinal) {
        if (ordinal < 0 || ordinal >= count) {
            throw new GpuException("there is no CUDA device " + ordinal + ": the driver has " + count + ", from 0 to " + (count - 1));
        }
        CUdevice device = new CUdevice();
        call("cuDeviceGet", () -> JCudaDriver.cuDeviceGet(device, ordinal));
        return device;
    }

    /** Compute capability, {@code 10 * major + minor}. */
    static int capability(CUdevice device) {
        return 10 * attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
            + attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    }

    GpuDevice read(CUdevice device, String architecture) {
        byte[] name = new byte[256];
        call("cuDeviceGetName", () -> JCudaDriver.cuDeviceGetName(name, name.length, device));
        CUuuid uuid = new CUuuid();
        call("cuDeviceGetUuid", () -> JCudaDriver.cuDeviceGetUuid(uuid, device));
        long[] memory = new long[1];
        call("cuDeviceTotalMem", () -> JCudaDriver.cuDeviceTotalMem(memory, device));
        return new GpuDevice(text(name), architecture, uuid(uuid.bytes),
            attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
            attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE), memory[0], driverVersion);
    }

    private static int attribute(CUdevice device, int which) {
        int[] value = new int[1];
        call("cuDeviceGetAttribute", () -> JCudaDriver.cuDeviceGetAttribute(value, which, device));
        return value[0];
    }

    static void call(String what, Context.JcudaCall call) {
        try {
            call.run();
        } catch (CudaException e) {
            throw new GpuException("the NVIDIA driver's " + what + " failed: " + CudaErrors.describe(CudaErrors.code(e)), e);
        }
    }

    private static String text(byte[] zeroEnded) {
        int end = 0;
        while (end < zeroEnded.length && zeroEnded[end] != 0) {
            end++;
        }
        return new String(zeroEnded, 0, end, StandardCharsets.UTF_8);
    }

    /** As NVML and nvidia-smi write it. */
    static String uuid(byte[] bytes) {
        String hex = HexFormat.of().formatHex(bytes);
        return "GPU-" + hex.substring(0, 8) + "-" + hex.substring(8, 12) + "-" + hex.substring(12, 16) + "-" + hex.substring(16, 20) + "-"
            + hex.substring(20);
    }
}

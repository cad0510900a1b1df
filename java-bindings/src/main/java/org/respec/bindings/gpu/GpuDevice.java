package org.respec.bindings.gpu;

/**
 * A device's properties.
 *
 * @param name as the driver names it, for instance {@code "NVIDIA H100 80GB HBM3"}
 * @param architecture what kernels are compiled for, for instance {@code "sm_90a"}
 * @param uuid {@code "GPU-..."} as NVML writes it; empty for the emulator
 * @param multiprocessors number of SMs
 * @param sharedBytesPerBlock most shared memory of a block, static and dynamic (opt-in limit)
 * @param l2Bytes size of the L2 cache
 * @param memoryBytes device memory
 * @param driverVersion CUDA version of the driver, for instance 13000
 */
public record GpuDevice(String name, String architecture, String uuid, int multiprocessors, int sharedBytesPerBlock, long l2Bytes,
                        long memoryBytes, int driverVersion) {
}

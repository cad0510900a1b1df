package org.respec.bindings.gpu;

/** A kernel that can be launched. */
public interface GpuKernel {
    /** File, entry and specialisation, for messages. */
    String name();

    /** Registers per thread; 0 on the emulator. */
    int registers();

    /** Bytes of local memory per thread, spills included; 0 on the emulator. */
    int localBytes();

    /** Bytes of static shared memory per block. */
    int staticSharedBytes();

    /** Blocks of this size that fit on one multiprocessor at once; 1 on the emulator. */
    int blocksPerMultiprocessor(int blockThreads, int dynamicSharedBytes);
}

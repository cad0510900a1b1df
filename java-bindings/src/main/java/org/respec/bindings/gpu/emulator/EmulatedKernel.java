package org.respec.bindings.gpu.emulator;

import org.respec.bindings.gpu.GpuKernel;

/**
 * A kernel in a loaded library.
 *
 * @param entry address of the function that runs it for one thread
 * @param argumentBytes size of its argument struct
 * @param codeBegin where its library begins
 * @param sharedBegin where static shared variables begin, and end
 */
record EmulatedKernel(EmulatedModule module, String name, long entry, int argumentBytes, long codeBegin, long sharedBegin,
                      long sharedEnd)
        implements GpuKernel {
    @Override
    public int registers() {
        return 0;
    }

    @Override
    public int localBytes() {
        return 0;
    }

    /** Of all kernels in the library together. */
    @Override
    public int staticSharedBytes() {
        return (int) (sharedEnd - sharedBegin);
    }

    @Override
    public int blocksPerMultiprocessor(int blockThreads, int dynamicSharedBytes) {
        return 1;
    }
}

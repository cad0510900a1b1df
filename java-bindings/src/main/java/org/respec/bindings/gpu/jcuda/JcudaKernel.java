package org.respec.bindings.gpu.jcuda;

import jcuda.driver.CUfunction_attribute;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuKernel;

final class JcudaKernel implements GpuKernel {
    /** Dynamic and static shared memory that a block may have without asking for more. */
    private static final int SHARED_WITHOUT_OPT_IN = 48 << 10;

    private final Context context;
    private final JcudaModule module;
    private final Handles.Function handle;
    private final String name;
    private final int registers;
    private final int localBytes;
    private final int staticSharedBytes;
    private final int maxThreads;
    private final long argumentBytes;
    private volatile int dynamicSharedLimit;

    JcudaKernel(Context context, JcudaModule module, Handles.Function handle, String name) {
        this.context = context;
        this.module = module;
        this.handle = handle;
        this.name = name;
        registers = attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS);
        localBytes = attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
        staticSharedBytes = attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
        maxThreads = attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
        dynamicSharedLimit = Math.max(0, SHARED_WITHOUT_OPT_IN - staticSharedBytes);
        long bytes = context.calls().parameterBytes(handle.raw(), 0);
        if (bytes == -1 || bytes >= 0 && context.calls().parameterBytes(handle.raw(), 1) >= 0) {
            throw new GpuException(name + " does not take exactly one argument, a struct");
        }
        argumentBytes = Math.max(0, bytes);
    }

    private int attribute(int which) {
        int[] value = new int[1];
        context.run("cuFuncGetAttribute of " + name, () -> JCudaDriver.cuFuncGetAttribute(value, which, handle));
        return value[0];
    }

    /** Raw handle for a launch in this shape; the opt-in to much shared memory is made here. */
    long prepare(Context owner, int blockThreads, int sharedBytes, long arguments) {
        if (owner != context) {
            throw new IllegalArgumentException(name + " belongs to another driver");
        }
        module.checkAlive();
        if (blockThreads < 1 || blockThreads > maxThreads) {
            throw new IllegalArgumentException(name + " runs with 1 to " + maxThreads + " threads a block, got " + blockThreads);
        }
        if (arguments < argumentBytes) {
            throw new IllegalArgumentException(name + " takes a struct of " + argumentBytes + " bytes, got " + arguments);
        }
        if (sharedBytes > dynamicSharedLimit || sharedBytes < 0) {
            allowShared(sharedBytes);
        }
        return handle.raw();
    }

    private synchronized void allowShared(int bytes) {
        if (bytes >= 0 && bytes <= dynamicSharedLimit) {
            return;
        }
        int most = context.device().sharedBytesPerBlock() - staticSharedBytes;
        if (bytes < 0 || bytes > most) {
            throw new GpuException(name + " wants " + bytes + " bytes of dynamic shared memory beside " + staticSharedBytes
                + " static ones, " + context.device().name() + " allows " + most);
        }
        context.run("cuFuncSetAttribute of " + name, () -> JCudaDriver.cuFuncSetAttribute(handle,
            CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes));
        // A kernel that asks for so much wants as many blocks of it as fit: else the driver may leave part of the memory to L1.
        context.run("cuFuncSetAttribute of " + name, () -> JCudaDriver.cuFuncSetAttribute(handle,
            CUfunction_attribute.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100));
        dynamicSharedLimit = bytes;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int registers() {
        return registers;
    }

    @Override
    public int localBytes() {
        return localBytes;
    }

    @Override
    public int staticSharedBytes() {
        return staticSharedBytes;
    }

    @Override
    public int blocksPerMultiprocessor(int blockThreads, int dynamicSharedBytes) {
        prepare(context, blockThreads, dynamicSharedBytes, Long.MAX_VALUE);
        int[] blocks = new int[1];
        context.run("occupancy of " + name, () -> JCudaDriver.cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, blockThreads,
            dynamicSharedBytes));
        return blocks[0];
    }

    @Override
    public String toString() {
        return name;
    }
}

package org.respec.bindings.gpu.jcuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.nativelib.NativeLibrary;

/** cuBLAS of any version, called directly: JCuda ends at CUDA 12. */
final class FfmCublasHandle implements CublasHandle {
    private final NativeLibrary library;
    private final long handle;

    FfmCublasHandle(NativeLibrary library) {
        this.library = library;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment slot = arena.allocate(JAVA_LONG);
            call("cublasCreate_v2", new MemoryLayout[] {JAVA_LONG}, slot.address());
            handle = slot.get(JAVA_LONG, 0);
        }
    }

    @Override
    public long raw() {
        return handle;
    }

    @Override
    public void bind(Handles.Stream stream, long workspace, long workspaceBytes) {
        // Setting a stream resets the workspace, so the workspace comes last.
        call("cublasSetStream_v2", new MemoryLayout[] {JAVA_LONG, JAVA_LONG}, handle, stream.raw());
        call("cublasSetWorkspace_v2", new MemoryLayout[] {JAVA_LONG, JAVA_LONG, JAVA_LONG}, handle, workspace, workspaceBytes);
        call("cublasSetMathMode", new MemoryLayout[] {JAVA_LONG, JAVA_INT}, handle, Cublas.MATH_MODE);
    }

    @Override
    public void destroy() {
        call("cublasDestroy_v2", new MemoryLayout[] {JAVA_LONG}, handle);
    }

    private void call(String name, MemoryLayout[] shape, Object... arguments) {
        int status;
        try {
            status = (int) library.function(name, FunctionDescriptor.of(JAVA_INT, shape)).invokeWithArguments(arguments);
        } catch (Throwable t) {
            throw new IllegalStateException("a call of " + name + " could not be made", t);
        }
        if (status != 0) {
            throw new GpuException(name + " failed: " + Cublas.describe(status)
                + "; is there memory left, and is cuBLAS not newer than the driver?");
        }
    }
}

package org.respec.bindings.gpu.jcuda;

import jcuda.CudaException;
import jcuda.jcublas.JCublas2;
import jcuda.runtime.cudaStream_t;
import org.respec.bindings.gpu.GpuException;

/** cuBLAS of CUDA 12, through JCuda. */
final class JcublasHandle implements CublasHandle {
    private final Handles.Cublas handle = new Handles.Cublas();

    JcublasHandle() {
        call("cublasCreate", () -> JCublas2.cublasCreate(handle));
    }

    @Override
    public long raw() {
        return handle.raw();
    }

    @Override
    public void bind(Handles.Stream stream, long workspace, long workspaceBytes) {
        // Setting a stream resets the workspace, so the workspace comes last.
        call("cublasSetStream", () -> JCublas2.cublasSetStream(handle, new cudaStream_t(stream)));
        call("cublasSetWorkspace", () -> JCublas2.cublasSetWorkspace(handle, new Handles.Address(workspace), workspaceBytes));
        call("cublasSetMathMode", () -> JCublas2.cublasSetMathMode(handle, Cublas.MATH_MODE));
    }

    @Override
    public void destroy() {
        call("cublasDestroy", () -> JCublas2.cublasDestroy(handle));
    }

    private static void call(String what, Context.JcudaCall call) {
        try {
            call.run();
        } catch (CudaException e) {
            throw new GpuException(what + " failed: " + e.getMessage()
                + "; is there memory left, and is cuBLAS not newer than the driver?", e);
        }
    }
}

package org.respec.bindings.gpu.jcuda;

/** A cuBLAS handle: made, set up and destroyed in one of two ways, used in one. */
interface CublasHandle {
    /** The {@code cublasHandle_t}. */
    long raw();

    /** Binds it to a stream and a workspace of the caller's. */
    void bind(Handles.Stream stream, long workspace, long workspaceBytes);

    void destroy();
}

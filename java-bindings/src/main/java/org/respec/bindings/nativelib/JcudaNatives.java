package org.respec.bindings.nativelib;

import java.nio.file.Path;
import jcuda.JCudaVersion;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.nvrtc.JNvrtc;
import org.respec.bindings.gpu.GpuException;

/**
 * The one place where JCuda's classes are woken up: with NVIDIA's library loaded before, with JCuda's own native library from our
 * private folder, and with exceptions on (left alone, JCuda returns error codes that nobody reads).
 *
 * <p>JCuda writes its native library to {@code java.io.tmpdir} under a name that anyone can foresee, and loads whatever is there
 * already. So the library is copied to a private folder first, by its hash, and that folder is the temporary one for as long as the
 * class initialises.
 */
public final class JcudaNatives {
    private JcudaNatives() {
    }

    /**
     * Makes {@link JCudaDriver} usable.
     *
     * @return the driver's library, for calls that JCuda does not have or makes too slowly
     * @throws GpuException if this machine has no driver
     */
    public static NativeLibrary driver(CudaLibraries libraries) {
        NativeLibrary library = libraries.require(CudaLibrary.DRIVER);
        initialise("jcuda.driver.JCudaDriver", "JCudaDriver");
        JCudaDriver.setExceptionsEnabled(true);
        return library;
    }

    /** Makes {@link JNvrtc} usable; {@link GpuException} if this machine has no NVRTC of CUDA 12. */
    public static NativeLibrary nvrtc(CudaLibraries libraries) {
        NativeLibrary library = libraries.require(CudaLibrary.NVRTC_12);
        initialise("jcuda.nvrtc.JNvrtc", "JNvrtc");
        JNvrtc.setExceptionsEnabled(true);
        return library;
    }

    /** Makes {@link JCublas2} usable; {@link GpuException} if this machine has no cuBLAS of CUDA 12. */
    public static NativeLibrary cublas(CudaLibraries libraries) {
        NativeLibrary library = libraries.require(CudaLibrary.CUBLAS_12);
        initialise("jcuda.jcublas.JCublas2", "JCublas2");
        JCublas2.setExceptionsEnabled(true);
        return library;
    }

    private static void initialise(String className, String library) {
        synchronized (JcudaNatives.class) {
            Path copy = NativeLibraries.extract("lib", "lib" + library + "-" + JCudaVersion.get() + "-linux-x86_64.so");
            String before = System.getProperty("java.io.tmpdir");
            try {
                System.setProperty("java.io.tmpdir", copy.getParent().toString());
                Class.forName(className, true, JcudaNatives.class.getClassLoader());
            } catch (ClassNotFoundException | LinkageError e) {
                throw new GpuException(className + " does not load: " + reason(e), e);
            } finally {
                System.setProperty("java.io.tmpdir", before);
            }
        }
    }

    private static String reason(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        return String.valueOf(cause.getMessage()).lines().findFirst().orElse("no reason given");
    }
}

package org.respec.bindings.nvrtc;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.CudaLibrary;

/** Which compiler is used: NVRTC 12 through JCuda, unless NVRTC 13 knows the device and 12 does not. */
public final class KernelCompilers {
    private KernelCompilers() {
    }

    /** All that work on this machine, best first. */
    public static List<KernelCompiler> available(CudaLibraries libraries) {
        List<KernelCompiler> compilers = new ArrayList<>();
        if (libraries.find(CudaLibrary.NVRTC_12).isPresent()) {
            compilers.add(JnvrtcCompiler.open(libraries));
        }
        libraries.find(CudaLibrary.NVRTC_13).ifPresent(library -> compilers.add(new FfmCompiler(library)));
        return compilers;
    }

    /**
     * The compiler for a device.
     *
     * @param capability of the device, {@code 10 * major + minor}
     * @param driverVersion CUDA version of the driver, for instance 12040: cubins of a newer major version do not load
     * @throws GpuException if there is none, saying what to install
     */
    public static KernelCompiler forDevice(CudaLibraries libraries, int capability, int driverVersion) {
        List<KernelCompiler> all = available(libraries);
        if (all.isEmpty()) {
            throw new GpuException("no kernel compiler: " + libraries.missing(CudaLibrary.NVRTC_12) + "; or " + libraries.missing(
                CudaLibrary.NVRTC_13));
        }
        return choose(all, capability, driverVersion);
    }

    static KernelCompiler choose(List<KernelCompiler> all, int capability, int driverVersion) {
        List<KernelCompiler> loadable = all.stream().filter(compiler -> compiler.major() <= driverVersion / 1000).toList();
        if (loadable.isEmpty()) {
            KernelCompiler first = all.getFirst();
            throw new GpuException(first.version() + " makes kernels for a driver of CUDA " + first.major() + ", and this one is of CUDA "
                + driverVersion / 1000 + "." + driverVersion % 1000 / 10 + ": install a newer driver, or " + CudaLibrary.NVRTC_12.remedy());
        }
        Optional<KernelCompiler> exact = loadable.stream().filter(compiler -> Architectures.knows(compiler, capability)).findFirst();
        return exact.orElse(loadable.getLast());
    }
}

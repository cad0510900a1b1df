package org.respec.kernels.gpu;

import java.util.List;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nvrtc.CubinCache;
import org.respec.bindings.nvrtc.KernelCompiler;
import org.respec.bindings.nvrtc.KernelCompilers;

/** Compiles kernels into the user's cache ahead of their use; needs no device. */
public final class KernelPrecompiler {
    private final KernelCompiler compiler;
    private final CubinCache cache = CubinCache.ofUser();
    private final String architecture;

    /**
     * For a device.
     *
     * @param architecture of the device, for instance {@code sm_90a}
     * @param driverVersion CUDA version of its driver, for instance 13000
     */
    public KernelPrecompiler(String architecture, int driverVersion) {
        int capability = Integer.parseInt(architecture.replaceAll("\\D", ""));
        this.compiler = KernelCompilers.forDevice(CudaLibraries.ofThisMachine(), capability, driverVersion);
        this.architecture = architecture;
    }

    /** How many of the kernels the cache lacks. */
    public long missing(KernelNeed need) {
        return need.specs().stream().filter(spec -> !cache.holds(KernelSources.of(spec), architecture, compiler)).count();
    }

    /** Compiles every {@code parts}-th kernel from number {@code part} on. */
    public void compile(KernelNeed need, int part, int parts) {
        List<KernelSpec> specs = need.specs();
        for (int i = part; i < specs.size(); i += parts) {
            cache.get(KernelSources.of(specs.get(i)), architecture, compiler);
        }
    }
}

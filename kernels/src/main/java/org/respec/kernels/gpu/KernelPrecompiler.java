package org.respec.kernels.gpu;

import java.util.List;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nvrtc.CubinCache;
import org.respec.bindings.nvrtc.KernelCompiler;
import org.respec.bindings.nvrtc.KernelCompilers;

/** Compiles kernels into the user's cache ahead of their use; needs no device. */
public final class KernelPrecompiler {
    private KernelPrecompiler() {
    }

    /** How many kernels there are, over all specialisations. */
    public static int count() {
        return KernelCatalog.all().size();
    }

    /**
     * Compiles every {@code parts}-th kernel from number {@code part} on.
     *
     * @param architecture of the device, for instance {@code sm_90a}
     * @param driverVersion CUDA version of its driver, for instance 13000
     */
    public static void compile(String architecture, int driverVersion, int part, int parts) {
        int capability = Integer.parseInt(architecture.replaceAll("\\D", ""));
        KernelCompiler compiler = KernelCompilers.forDevice(CudaLibraries.ofThisMachine(), capability, driverVersion);
        CubinCache cache = CubinCache.ofUser();
        List<KernelSpec> all = KernelCatalog.all();
        for (int i = part; i < all.size(); i += parts) {
            cache.get(KernelSources.of(all.get(i)), architecture, compiler);
        }
    }
}

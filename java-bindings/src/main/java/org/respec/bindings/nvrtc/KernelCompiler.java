package org.respec.bindings.nvrtc;

import java.util.SortedSet;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;

/** Compiles CUDA C++ to cubins. Needs neither a GPU nor a driver. Calls from several threads are safe; the compiler runs one at a time. */
public interface KernelCompiler {
    /** Compiler and version, on which the bits of a cubin depend, for instance {@code NVRTC 12.9}; not the way it is called. */
    String version();

    /** Major version of CUDA: a device's driver must be of this or a newer one. */
    int major();

    /** Library it came from, and the way it is called. */
    String origin();

    /** Compute capabilities it can compile for, as {@code 10 * major + minor}. */
    SortedSet<Integer> capabilities();

    /**
     * Compiles a source.
     *
     * @param architecture for instance {@code sm_90a}
     * @return the cubin, with the compiler's log, in which {@link CompileReport} finds registers and spills
     * @throws GpuException if the architecture is unknown, if the source does not compile (with the compiler's log), or if an entry is
     *     missing from it
     */
    KernelImage compile(KernelSource source, String architecture);
}

package org.respec.kernels.gpu;

import java.util.SortedMap;
import java.util.TreeMap;

/**
 * One kernel in one specialisation: what is compiled, cached and launched.
 *
 * @param file source file in {@code org/respec/kernels/cuda}, for instance {@code rms_norm.cu}
 * @param entry name of the {@code extern "C"} kernel in it
 * @param defines preprocessor definitions
 */
public record KernelSpec(String file, String entry, SortedMap<String, String> defines) {
    public KernelSpec {
        defines = java.util.Collections.unmodifiableSortedMap(new TreeMap<>(defines));
    }

    public static KernelSpec of(String file, String entry) {
        return new KernelSpec(file, entry, new TreeMap<>());
    }

    /** The same kernel with one more definition. */
    public KernelSpec with(String name, Object value) {
        TreeMap<String, String> more = new TreeMap<>(defines);
        more.put(name, String.valueOf(value));
        return new KernelSpec(file, entry, more);
    }
}

package org.respec.kernels.gpu;

import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * One kernel in one specialisation: what is compiled, cached and launched. Equal if file, entry and definitions are; the hash is computed
 * once, since kernels are looked up by it at every launch.
 */
public final class KernelSpec {
    private final String file;
    private final String entry;
    private final SortedMap<String, String> defines;
    private final int hash;

    /**
     * A kernel with all its definitions.
     *
     * @param file source file in {@code org/respec/kernels/cuda}, for instance {@code rms_norm.cu}
     * @param entry name of the {@code extern "C"} kernel in it
     * @param defines preprocessor definitions; copied
     */
    public KernelSpec(String file, String entry, SortedMap<String, String> defines) {
        this.file = file;
        this.entry = entry;
        this.defines = Collections.unmodifiableSortedMap(new TreeMap<>(defines));
        this.hash = (file.hashCode() * 31 + entry.hashCode()) * 31 + this.defines.hashCode();
    }

    /** A kernel without definitions. */
    public static KernelSpec of(String file, String entry) {
        return new KernelSpec(file, entry, new TreeMap<>());
    }

    /** The same kernel with one more definition. */
    public KernelSpec with(String name, Object value) {
        TreeMap<String, String> more = new TreeMap<>(defines);
        more.put(name, String.valueOf(value));
        return new KernelSpec(file, entry, more);
    }

    /** Source file in {@code org/respec/kernels/cuda}. */
    public String file() {
        return file;
    }

    /** Name of the {@code extern "C"} kernel. */
    public String entry() {
        return entry;
    }

    /** Preprocessor definitions; unmodifiable. */
    public SortedMap<String, String> defines() {
        return defines;
    }

    @Override
    public boolean equals(Object other) {
        return this == other || other instanceof KernelSpec that && hash == that.hash && file.equals(that.file)
            && entry.equals(that.entry) && defines.equals(that.defines);
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public String toString() {
        return file + " " + entry + " " + defines;
    }
}

package org.respec.bindings.nvrtc;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;

/** What both ways of calling NVRTC make of its answers. */
final class Outcomes {
    private Outcomes() {
    }

    static GpuException failure(KernelCompiler compiler, KernelSource source, String architecture, String error, String log) {
        return new GpuException(source.label() + " does not compile for " + architecture + " with " + compiler.version() + " (" + error
            + "):\n" + log.strip());
    }

    static KernelImage success(KernelCompiler compiler, KernelSource source, byte[] cubin, String log) {
        List<String> made = CompileReport.parse(log).stream().map(CompileReport::entry).toList();
        for (String entry : source.entries()) {
            // A version that words its log otherwise still names the kernel's section in the cubin.
            if (!made.contains(entry) && !(made.isEmpty() && names(cubin, ".text." + entry))) {
                throw new GpuException(source.label() + " compiled with " + compiler.version() + " has no kernel " + entry + ", but "
                    + made);
            }
        }
        return new KernelImage(source.label(), cubin, log);
    }

    /** Whether a table of names in an ELF file has this one, or one that ends so. */
    private static boolean names(byte[] elf, String name) {
        return new String(elf, StandardCharsets.ISO_8859_1).contains(name + "\0");
    }
}

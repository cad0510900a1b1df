package org.respec.bindings.gpu.emulator;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.KernelImage;

/** A loaded shared library. */
final class EmulatedModule implements GpuModule {
    private final Arena arena = Arena.ofShared();
    private final String label;
    private final Path file;
    private final SymbolLookup library;

    EmulatedModule(KernelImage image) {
        label = image.label();
        file = Path.of(new String(image.bytes(), StandardCharsets.UTF_8));
        try {
            if (!LibraryCache.isWhole(file)) {
                throw new GpuException("the compiled kernel " + file + " of " + label + " is missing or damaged: compile it again");
            }
            library = SymbolLookup.libraryLookup(file, arena);
        } catch (IOException | IllegalArgumentException e) {
            throw new GpuException("the compiled kernel " + file + " of " + label + " does not load: " + e.getMessage(), e);
        }
    }

    Path file() {
        return file;
    }

    boolean isAlive() {
        return arena.scope().isAlive();
    }

    @Override
    public GpuKernel kernel(String entry) {
        if (!isAlive()) {
            throw new IllegalStateException("module " + label + " is closed");
        }
        long run = library.find("emu_run_" + entry).orElseThrow(
            () -> new GpuException(label + " has no kernel " + entry)).address();
        return new EmulatedKernel(this, label + ":" + entry, run, EmulatorRuntime.integer(library, "emu_bytes_" + entry),
            EmulatorRuntime.pointer(library, "emu_code_begin"), EmulatorRuntime.pointer(library, "emu_shared_begin"),
            EmulatorRuntime.pointer(library, "emu_shared_end"));
    }

    @Override
    public void close() {
        if (isAlive()) {
            arena.close();
        }
    }
}

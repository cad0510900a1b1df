package org.respec.bindings.gpu.emulator;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.gpu.GpuException;

/** The native half: compiled once from the sources beside this class, then loaded for as long as the process lives. */
final class EmulatorRuntime {
    private static final List<String> SOURCES = List.of("runtime.cpp", "memory.cpp", "checker.cpp");
    private static final String HEADER = "runtime.h";
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

    private final Path file;
    private final MethodHandle open;
    private final MethodHandle close;
    private final MethodHandle freeBytes;
    private final MethodHandle allocate;
    private final MethodHandle free;
    private final MethodHandle holds;
    private final MethodHandle launch;
    private final MethodHandle report;
    private final MethodHandle reportAt;
    private final MethodHandle reportPlace;

    EmulatorRuntime(HostCompiler compiler, LibraryCache cache) {
        file = build(compiler, cache);
        SymbolLookup library;
        try {
            library = SymbolLookup.libraryLookup(file, Arena.global());
        } catch (IllegalArgumentException e) {
            throw new GpuException("the emulator's runtime " + file + " does not load: " + e.getMessage(), e);
        }
        open = handle(library, "emu_device_open", FunctionDescriptor.of(LONG, LONG, LONG, INT, INT));
        close = handle(library, "emu_device_close", FunctionDescriptor.ofVoid(LONG));
        freeBytes = handle(library, "emu_device_free_bytes", FunctionDescriptor.of(LONG, LONG));
        allocate = handle(library, "emu_allocate", FunctionDescriptor.of(LONG, LONG, LONG, INT));
        free = handle(library, "emu_free", FunctionDescriptor.ofVoid(LONG, LONG));
        holds = handle(library, "emu_holds", FunctionDescriptor.of(INT, LONG, LONG, LONG));
        launch = handle(library, "emu_launch", FunctionDescriptor.of(INT, LONG, LONG, LONG, INT, INT, INT, INT, INT, INT,
            LONG, LONG, LONG, INT));
        report = handle(library, "emu_report", FunctionDescriptor.of(pointerTo(4096), LONG));
        reportAt = handle(library, "emu_report_at", FunctionDescriptor.of(LONG, LONG));
        reportPlace = handle(library, "emu_report_place", FunctionDescriptor.of(pointerTo(24), LONG));
        act(() -> {
            handle(library, "emu_initialize", FunctionDescriptor.ofVoid()).invokeExact();
        });
    }

    private static Path build(HostCompiler compiler, LibraryCache cache) {
        List<String> parts = new ArrayList<>(List.of(compiler.version(), String.join(" ", compiler.runtimeFlags()), resource(HEADER),
            // Two runtimes of one name in a process would take each other's kernels.
            cache.folder().toAbsolutePath().normalize().toString()));
        SOURCES.forEach(name -> parts.add(resource(name)));
        return cache.get("runtime", parts, target -> {
            Path folder = target.getParent();
            List<String> arguments = new ArrayList<>(compiler.runtimeFlags());
            Files.writeString(folder.resolve(HEADER), resource(HEADER));
            for (String name : SOURCES) {
                Files.writeString(folder.resolve(name), resource(name));
                arguments.add(name);
            }
            // Kernels name it by its file's name and look for it beside themselves.
            arguments.addAll(List.of("-Wl,-soname," + target.getFileName(), "-o", target.getFileName().toString()));
            return compiler.compile("the emulator's runtime", arguments, folder);
        }).file();
    }

    /** Text of a file beside this class. */
    static String resource(String name) {
        try (InputStream in = EmulatorRuntime.class.getResourceAsStream("/org/respec/bindings/gpu/emulator/" + name)) {
            if (in == null) {
                throw new IllegalStateException("the emulator's source " + name + " is missing from the class path");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("the emulator's source " + name + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static AddressLayout pointerTo(long bytes) {
        return ValueLayout.ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(bytes, ValueLayout.JAVA_BYTE));
    }

    private static MethodHandle handle(SymbolLookup library, String name, FunctionDescriptor descriptor) {
        return Linker.nativeLinker().downcallHandle(library.findOrThrow(name), descriptor);
    }

    /** A native function without arguments that gives a pointer. */
    static long pointer(SymbolLookup library, String name) {
        return call(() -> (long) handle(library, name, FunctionDescriptor.of(LONG)).invokeExact());
    }

    /** A native function without arguments that gives an integer. */
    static int integer(SymbolLookup library, String name) {
        return call(() -> (int) handle(library, name, FunctionDescriptor.of(INT)).invokeExact());
    }

    /** Where the library lies: kernels are linked against it. */
    Path file() {
        return file;
    }

    /** A device, or 0. */
    long open(long memoryBytes, long span, boolean checked, int seconds) {
        return call(() -> (long) open.invokeExact(memoryBytes, span, checked ? 1 : 0, seconds));
    }

    void close(long device) {
        act(() -> {
            close.invokeExact(device);
        });
    }

    long freeBytes(long device) {
        return call(() -> (long) freeBytes.invokeExact(device));
    }

    /** An address, or 0. */
    long allocate(long device, long bytes, boolean pinned) {
        return call(() -> (long) allocate.invokeExact(device, bytes, pinned ? 1 : 0));
    }

    void free(long device, long address) {
        act(() -> {
            free.invokeExact(device, address);
        });
    }

    /** Whether a range lies in one living allocation. */
    boolean holds(long device, long address, long bytes) {
        return call(() -> (int) holds.invokeExact(device, address, bytes)) != 0;
    }

    /** Runs a kernel to its end; whether it went well. Makes no objects. */
    boolean launch(long device, EmulatedKernel kernel, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes,
                   long arguments) {
        try {
            return (int) launch.invokeExact(device, kernel.entry(), arguments, kernel.argumentBytes(), gridX, gridY, gridZ, blockX, blockY,
                kernel.codeBegin(), kernel.sharedBegin(), kernel.sharedEnd(), sharedBytes) == 0;
        } catch (Throwable t) {
            throw new IllegalStateException("the emulator's runtime failed", t);
        }
    }

    /** What went wrong in the last launch. */
    Report report(long device) {
        String text = call(() -> (MemorySegment) report.invokeExact(device)).getString(0);
        long at = call(() -> (long) reportAt.invokeExact(device));
        int[] place = call(() -> (MemorySegment) reportPlace.invokeExact(device)).toArray(INT);
        return new Report(text, at, "(" + place[0] + "," + place[1] + "," + place[2] + ")",
            "(" + place[3] + "," + place[4] + "," + place[5] + ")");
    }

    /**
     * What went wrong in a kernel.
     *
     * @param text places in the code are {@code @} and the offset in the kernel's library, hexadecimal
     * @param at where in the kernel's library, or 0
     */
    record Report(String text, long at, String block, String thread) {
    }

    private interface Native<T> {
        T run() throws Throwable;
    }

    private interface NativeAction {
        void run() throws Throwable;
    }

    private static <T> T call(Native<T> function) {
        try {
            return function.run();
        } catch (Throwable t) {
            throw new IllegalStateException("the emulator's runtime failed", t);
        }
    }

    private static void act(NativeAction function) {
        try {
            function.run();
        } catch (Throwable t) {
            throw new IllegalStateException("the emulator's runtime failed", t);
        }
    }
}

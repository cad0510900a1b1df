package org.respec.bindings.nvrtc;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.nativelib.NativeLibrary;

/** NVRTC of any version, called directly: JCuda ends at CUDA 12, and newer machines have CUDA 13 alone. */
public final class FfmCompiler implements KernelCompiler {
    private static final FunctionDescriptor PROGRAM_AND_RESULT = FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS);

    private final NativeLibrary library;
    private final MethodHandle errorString;
    private final MethodHandle create;
    private final MethodHandle destroy;
    private final MethodHandle compile;
    private final MethodHandle cubinSize;
    private final MethodHandle cubin;
    private final MethodHandle logSize;
    private final MethodHandle log;
    private final int major;
    private final int minor;
    private final SortedSet<Integer> capabilities = new TreeSet<>();

    /** @param library {@code libnvrtc.so.12} or {@code .so.13}, loaded with its builtins */
    public FfmCompiler(NativeLibrary library) {
        this.library = library;
        errorString = library.function("nvrtcGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
        create = library.function("nvrtcCreateProgram", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS,
            ADDRESS));
        destroy = library.function("nvrtcDestroyProgram", FunctionDescriptor.of(JAVA_INT, ADDRESS));
        compile = library.function("nvrtcCompileProgram", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, ADDRESS));
        cubinSize = library.function("nvrtcGetCUBINSize", PROGRAM_AND_RESULT);
        cubin = library.function("nvrtcGetCUBIN", PROGRAM_AND_RESULT);
        logSize = library.function("nvrtcGetProgramLogSize", PROGRAM_AND_RESULT);
        log = library.function("nvrtcGetProgramLog", PROGRAM_AND_RESULT);
        MethodHandle version = library.function("nvrtcVersion", PROGRAM_AND_RESULT);
        MethodHandle count = library.function("nvrtcGetNumSupportedArchs", FunctionDescriptor.of(JAVA_INT, ADDRESS));
        MethodHandle known = library.function("nvrtcGetSupportedArchs", FunctionDescriptor.of(JAVA_INT, ADDRESS));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment upper = arena.allocate(JAVA_INT);
            MemorySegment lower = arena.allocate(JAVA_INT);
            check("nvrtcVersion", (int) version.invokeExact(upper, lower));
            major = upper.get(JAVA_INT, 0);
            minor = lower.get(JAVA_INT, 0);
            check("nvrtcGetNumSupportedArchs", (int) count.invokeExact(upper));
            MemorySegment list = arena.allocate(JAVA_INT, Math.max(1, upper.get(JAVA_INT, 0)));
            check("nvrtcGetSupportedArchs", (int) known.invokeExact(list));
            for (int i = 0; i < upper.get(JAVA_INT, 0); i++) {
                capabilities.add(list.getAtIndex(JAVA_INT, i));
            }
        } catch (Throwable t) {
            throw rethrown(t);
        }
    }

    @Override
    public String version() {
        return "NVRTC " + major + "." + minor;
    }

    @Override
    public int major() {
        return major;
    }

    @Override
    public String origin() {
        return library.file();
    }

    @Override
    public SortedSet<Integer> capabilities() {
        return Collections.unmodifiableSortedSet(capabilities);
    }

    @Override
    public KernelImage compile(KernelSource source, String architecture) {
        Architectures.checkKnown(this, architecture);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment slot = arena.allocate(ADDRESS);
            int rc = (int) create.invokeExact(slot, arena.allocateFrom(source.text()), arena.allocateFrom(source.name()),
                source.headers().size(), strings(arena, source.headers().values()), strings(arena, source.headers().keySet()));
            if (rc != 0) {
                throw Outcomes.failure(this, source, architecture, name(rc), "the program was refused before it was read");
            }
            try {
                return compile(arena, slot.get(ADDRESS, 0), source, architecture);
            } finally {
                int ignored = (int) destroy.invokeExact(slot);
            }
        } catch (Throwable t) {
            throw rethrown(t);
        }
    }

    private KernelImage compile(Arena arena, MemorySegment program, KernelSource source, String architecture) throws Throwable {
        List<String> options = CompileOptions.of(source, architecture);
        int rc = (int) compile.invokeExact(program, options.size(), strings(arena, options));
        String said = log(arena, program);
        if (rc != 0) {
            throw Outcomes.failure(this, source, architecture, name(rc), said);
        }
        MemorySegment size = arena.allocate(JAVA_LONG);
        check("nvrtcGetCUBINSize", (int) cubinSize.invokeExact(program, size));
        MemorySegment bytes = arena.allocate(size.get(JAVA_LONG, 0));
        check("nvrtcGetCUBIN", (int) cubin.invokeExact(program, bytes));
        return Outcomes.success(this, source, bytes.toArray(JAVA_BYTE), said);
    }

    private String log(Arena arena, MemorySegment program) throws Throwable {
        MemorySegment size = arena.allocate(JAVA_LONG);
        check("nvrtcGetProgramLogSize", (int) logSize.invokeExact(program, size));
        MemorySegment text = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
        check("nvrtcGetProgramLog", (int) log.invokeExact(program, text));
        return text.getString(0);
    }

    /** An array of C strings; NULL if there are none. */
    private static MemorySegment strings(Arena arena, Collection<String> values) {
        if (values.isEmpty()) {
            return MemorySegment.NULL;
        }
        MemorySegment array = arena.allocate(ADDRESS, values.size());
        int at = 0;
        for (String value : values) {
            array.setAtIndex(ADDRESS, at++, arena.allocateFrom(value));
        }
        return array;
    }

    private void check(String function, int rc) throws Throwable {
        if (rc != 0) {
            throw new GpuException(function + " of " + library.file() + " failed: " + name(rc));
        }
    }

    private String name(int rc) throws Throwable {
        MemorySegment text = (MemorySegment) errorString.invokeExact(rc);
        return text.equals(MemorySegment.NULL) ? "error " + rc : text.reinterpret(Long.MAX_VALUE).getString(0);
    }

    private static RuntimeException rethrown(Throwable t) {
        return switch (t) {
            case RuntimeException e -> e;
            case Error e -> throw e;
            default -> new IllegalStateException("a call of NVRTC failed", t);
        };
    }
}

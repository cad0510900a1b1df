package org.respec.bindings.nativelib;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * The system's loader, called directly: {@link SymbolLookup#libraryLookup} keeps the reason of a refusal to itself, and nobody can
 * mend what is not named.
 */
final class DynamicLoader {
    private static final int RTLD_LAZY = 1;
    private static final int RTLD_DI_LINKMAP = 2;

    private final MethodHandle dlopen = handle("dlopen", FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS,
        ValueLayout.JAVA_INT));
    private final MethodHandle dlclose = handle("dlclose", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    private final MethodHandle dlsym = handle("dlsym", FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG,
        ValueLayout.ADDRESS));
    private final MethodHandle dlerror = handle("dlerror", FunctionDescriptor.of(ValueLayout.JAVA_LONG));
    private final MethodHandle dlinfo = handle("dlinfo", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG,
        ValueLayout.JAVA_INT, ValueLayout.ADDRESS));

    /** A library as the loader gave it. */
    record Opened(long handle, NativeLibrary library) {
    }

    /**
     * Loads a library, its functions bound when they are first called.
     *
     * @param where a path, or a bare name that the loader searches its own folders for
     * @throws Refused with the loader's reason
     */
    Opened open(String soname, String where) throws Refused {
        try (Arena arena = Arena.ofConfined()) {
            long handle = (long) dlopen.invokeExact(arena.allocateFrom(where), RTLD_LAZY);
            if (handle == 0) {
                throw new Refused(text((long) dlerror.invokeExact()));
            }
            return new Opened(handle, new NativeLibrary(soname, file(handle, where), name -> symbol(handle, name)));
        } catch (Refused e) {
            throw e;
        } catch (Throwable t) {
            throw new IllegalStateException("dlopen of " + where + " failed", t);
        }
    }

    void close(Opened opened) {
        try {
            int ignored = (int) dlclose.invokeExact(opened.handle());
        } catch (Throwable t) {
            throw new IllegalStateException("dlclose of " + opened.library().file() + " failed", t);
        }
    }

    private Optional<MemorySegment> symbol(long handle, String name) {
        try (Arena arena = Arena.ofConfined()) {
            long address = (long) dlsym.invokeExact(handle, arena.allocateFrom(name));
            return address == 0 ? Optional.empty() : Optional.of(MemorySegment.ofAddress(address));
        } catch (Throwable t) {
            throw new IllegalStateException("dlsym of " + name + " failed", t);
        }
    }

    /** The file behind a handle: field {@code l_name} of its {@code struct link_map}. */
    private String file(long handle, String otherwise) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment map = arena.allocate(ValueLayout.JAVA_LONG);
            int rc = (int) dlinfo.invokeExact(handle, RTLD_DI_LINKMAP, map);
            if (rc != 0) {
                return otherwise;
            }
            long name = MemorySegment.ofAddress(map.get(ValueLayout.JAVA_LONG, 0)).reinterpret(16).get(ValueLayout.JAVA_LONG, 8);
            String path = name == 0 ? "" : text(name);
            return path.isEmpty() ? otherwise : path;
        }
    }

    private static String text(long address) {
        return address == 0 ? "the loader gave no reason" : MemorySegment.ofAddress(address).reinterpret(Long.MAX_VALUE).getString(0);
    }

    private static MethodHandle handle(String name, FunctionDescriptor shape) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), shape);
    }

    /** The loader's reason. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1L;

        Refused(String reason) {
            super(reason);
        }
    }
}

package org.respec.bindings.nativelib;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/**
 * A library that is loaded for as long as the process lives.
 *
 * @param soname name it was asked for by, for instance {@code libnvrtc.so.12}
 * @param file file it came from
 * @param symbols its functions
 */
public record NativeLibrary(String soname, String file, SymbolLookup symbols) {
    /**
     * A function of the library.
     *
     * @throws IllegalStateException if the library has none of this name
     */
    public MethodHandle function(String name, FunctionDescriptor shape) {
        return Linker.nativeLinker().downcallHandle(symbols.find(name).orElseThrow(() -> new IllegalStateException(
            file + " has no function " + name + "; it is another version than this program knows")), shape);
    }

    /** Whether the library has a function of this name. */
    public boolean has(String name) {
        return symbols.find(name).isPresent();
    }
}

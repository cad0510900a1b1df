package org.respec.bindings.gpu;

/**
 * Compiled kernels.
 *
 * @param label of the source
 * @param bytes a cubin; for the emulator the path of a shared library, in UTF-8
 * @param log what the compiler said: warnings, and registers and spills of each kernel where it reports them
 */
public record KernelImage(String label, byte[] bytes, String log) {
}

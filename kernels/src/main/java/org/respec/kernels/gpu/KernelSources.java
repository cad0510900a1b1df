package org.respec.kernels.gpu;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.respec.bindings.gpu.KernelSource;

/** The CUDA text that comes with this module. */
public final class KernelSources {
    private static final String FOLDER = "/org/respec/kernels/cuda/";
    /** Every header; a kernel that includes another fails to compile, so the list cannot go stale unseen. */
    private static final List<String> HEADERS = List.of("types.cuh", "warp.cuh", "math.cuh", "noise.cuh", "ptx.cuh", "faults.cuh",
        "packs.cuh", "mma_train.cuh", "gemm.cuh", "chain.cuh", "page_table.cuh", "select.cuh", "vocab.cuh", "softmax_row.cuh",
        "tree_attention.cuh");

    private KernelSources() {
    }

    /** Source of a kernel with all headers. */
    public static KernelSource of(KernelSpec spec) {
        SortedMap<String, String> headers = new TreeMap<>();
        for (String header : HEADERS) {
            headers.put(header, read("include/" + header));
        }
        return new KernelSource(spec.file(), read(spec.file()), headers, spec.defines(), List.of(spec.entry()));
    }

    private static String read(String name) {
        try (InputStream in = KernelSources.class.getResourceAsStream(FOLDER + name)) {
            if (in == null) {
                throw new IllegalStateException("the kernel source " + name + " is missing from the class path");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("the kernel source " + name + " cannot be read: " + e.getMessage(), e);
        }
    }
}

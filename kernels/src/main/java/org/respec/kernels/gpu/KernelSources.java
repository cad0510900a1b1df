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
    private static final String INCLUDE = "#include \"";

    private KernelSources() {
    }

    /** Source of a kernel with the headers that it includes, and no others: a change of a header then compiles again only what uses it. */
    public static KernelSource of(KernelSpec spec) {
        SortedMap<String, String> headers = new TreeMap<>();
        String text = read(spec.file());
        include(text, headers);
        return new KernelSource(spec.file(), text, headers, spec.defines(), List.of(spec.entry()));
    }

    private static void include(String text, SortedMap<String, String> headers) {
        text.lines().filter(line -> line.startsWith(INCLUDE)).forEach(line -> {
            String name = line.substring(INCLUDE.length(), line.indexOf('"', INCLUDE.length()));
            if (!headers.containsKey(name)) {
                String header = read("include/" + name);
                headers.put(name, header);
                include(header, headers);
            }
        });
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

package org.respec.bindings.gpu;

import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Source text to compile.
 *
 * @param name file name, for instance {@code rms_norm.cu}
 * @param text CUDA C++
 * @param headers text of every file that may be included, by the name it is included by
 * @param defines preprocessor definitions: the specialisation
 * @param entries kernels that must come out of it
 */
public record KernelSource(String name, String text, SortedMap<String, String> headers, SortedMap<String, String> defines,
                           List<String> entries) {
    public KernelSource {
        headers = java.util.Collections.unmodifiableSortedMap(new TreeMap<>(headers));
        defines = java.util.Collections.unmodifiableSortedMap(new TreeMap<>(defines));
        entries = List.copyOf(entries);
    }

    /** Name and specialisation, for messages: {@code rms_norm.cu[BF16=1]}. */
    public String label() {
        if (defines.isEmpty()) {
            return name;
        }
        StringBuilder text = new StringBuilder(name).append('[');
        for (Map.Entry<String, String> define : defines.entrySet()) {
            text.append(text.charAt(text.length() - 1) == '[' ? "" : ",").append(define.getKey()).append('=').append(define.getValue());
        }
        return text.append(']').toString();
    }
}

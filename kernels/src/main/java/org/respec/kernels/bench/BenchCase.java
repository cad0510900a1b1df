package org.respec.kernels.bench;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import org.respec.kernels.DType;

/**
 * One operator at one shape.
 *
 * @param kernel name of the operator, for instance {@code "rmsNorm"}
 * @param shape sizes by name, in the order in which they are shown
 * @param dtype of the operator's large tensors
 * @param bytes least that must cross DRAM in one call: every input read once, every output written once
 * @param flops that the result needs, those of one call
 * @param inputBytes device memory that one set of inputs takes, about
 * @param prepare makes a set of inputs and returns a call on it; each set is memory of its own
 */
public record BenchCase(String kernel, Map<String, Integer> shape, DType dtype, long bytes, long flops, long inputBytes,
                        Function<BenchInputs, Runnable> prepare) {
    public BenchCase {
        shape = Collections.unmodifiableMap(new LinkedHashMap<>(shape));
    }

    /** Sizes by name: {@code shape("rows", 64, "cols", 4096)}. */
    static Map<String, Integer> shape(Object... namesAndSizes) {
        Map<String, Integer> shape = new LinkedHashMap<>();
        for (int i = 0; i < namesAndSizes.length; i += 2) {
            shape.put((String) namesAndSizes[i], (Integer) namesAndSizes[i + 1]);
        }
        return shape;
    }

    /** The shape in words: {@code rows=64 cols=4096}. */
    public String shapeText() {
        StringBuilder text = new StringBuilder();
        shape.forEach((name, size) -> text.append(text.isEmpty() ? "" : " ").append(name).append('=').append(size));
        return text.toString();
    }
}

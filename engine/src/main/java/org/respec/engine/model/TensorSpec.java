package org.respec.engine.model;

import java.util.List;

/** Name and shape of a weight tensor; a vector has one row. */
public record TensorSpec(String name, int rows, int cols) {
    public TensorSpec {
        if (rows < 1 || cols < 1) {
            throw new IllegalArgumentException("tensor " + name + " of " + rows + "x" + cols);
        }
    }

    /** Elements of all of {@code specs}. */
    public static long elements(List<TensorSpec> specs) {
        return specs.stream().mapToLong(TensorSpec::elements).reduce(0, Math::addExact);
    }

    /** Its elements. */
    public long elements() {
        return (long) rows * cols;
    }

    /** A vector. */
    static TensorSpec vector(String name, int size) {
        return new TensorSpec(name, 1, size);
    }
}

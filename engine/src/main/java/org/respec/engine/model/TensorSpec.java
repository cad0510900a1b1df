package org.respec.engine.model;

/** Name and shape of a weight tensor; a vector has one row. */
public record TensorSpec(String name, int rows, int cols) {
    public TensorSpec {
        if (rows < 1 || cols < 1) {
            throw new IllegalArgumentException("tensor " + name + " of " + rows + "x" + cols);
        }
    }

    /** A vector. */
    static TensorSpec vector(String name, int size) {
        return new TensorSpec(name, 1, size);
    }
}

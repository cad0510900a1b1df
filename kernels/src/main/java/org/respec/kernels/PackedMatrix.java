package org.respec.kernels;

/** A weight matrix [outputs x inputs] in the layout that a backend's {@link Ops#linear} reads fastest. */
public interface PackedMatrix {
    /** Rows of the weight: columns of the result. */
    int outputs();

    /** Columns of the weight: columns of the input. */
    int inputs();
}

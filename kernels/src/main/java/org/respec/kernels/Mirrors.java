package org.respec.kernels;

/** Where mirrors come from: an arena, or a block in which they lie one behind the other. */
public interface Mirrors {
    /** A zero-filled pair of host and device copies of the same shape (on the CPU: one tensor twice). */
    HostMirror mirror(DType dtype, int rows, int cols);
}

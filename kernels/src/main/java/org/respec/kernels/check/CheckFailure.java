package org.respec.kernels.check;

/** A device's operator does not do what the CPU's does; the message says where, with both values and the seed. */
public final class CheckFailure extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public CheckFailure(String message) {
        super(message);
    }
}

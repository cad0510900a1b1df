package org.respec.kernels;

/** A device has not so much memory left. What was asked for did not happen; all else is as before, and smaller work may fit. */
public final class OutOfDeviceMemory extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public OutOfDeviceMemory(String message, Throwable cause) {
        super(message, cause);
    }
}

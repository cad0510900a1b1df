package org.respec.bindings.gpu;

/** A device, driver or compiler refused or failed; the message says what, where and how to mend it. */
public class GpuException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public GpuException(String message) {
        super(message);
    }

    public GpuException(String message, Throwable cause) {
        super(message, cause);
    }
}

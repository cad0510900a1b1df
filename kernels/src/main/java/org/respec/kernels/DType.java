package org.respec.kernels;

/** Element types that tensors hold. */
public enum DType {
    F32(4),
    BF16(2),
    I32(4),
    I64(8);

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }
}

package org.respec.kernels;

/**
 * Mirrors that lie one behind the other, in the order they were asked for, so that one transfer carries several of them: every transfer
 * has a cost of its own, and every pull is a wait for the device.
 */
public final class MirrorBlock implements Mirrors {
    /** As arenas align tensors. */
    private static final int ALIGNMENT = 64;

    private final HostMirror words;
    private long used;

    /** @param bytes what the mirrors need together, see {@link #bytes} */
    public MirrorBlock(TensorArena arena, long bytes) {
        words = arena.mirror(DType.I32, 1, Math.toIntExact(Math.ceilDiv(bytes, 4)));
    }

    /** Bytes of a block that a mirror takes. */
    public static long bytes(DType dtype, int rows, int cols) {
        long bytes = Math.multiplyExact(Math.multiplyExact((long) rows, (long) cols), dtype.bytes());
        return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
    }

    @Override
    public HostMirror mirror(DType dtype, int rows, int cols) {
        long size = bytes(dtype, rows, cols);
        if (size > 4 * words.host().size() - used) {
            throw new IllegalArgumentException("a block of " + 4 * words.host().size() + " bytes, of which " + used
                + " are taken, has no room for " + dtype + "[" + rows + "x" + cols + "]");
        }
        Tensor host = new Tensor(dtype, rows, cols, cols, used / dtype.bytes(), words.host().storage());
        // One tensor twice where the device is the host.
        Tensor device = words.device() == words.host() ? host
            : new Tensor(dtype, rows, cols, cols, used / dtype.bytes(), words.device().storage());
        used += size;
        return new HostMirror(host, device);
    }

    /** Everything from the start of one mirror of this block to the end of a later one, as I32 words: to be pushed or pulled whole. */
    public HostMirror range(HostMirror first, HostMirror last) {
        long from = first.host().offset() * first.host().dtype().bytes() / 4;
        long to = Math.ceilDiv((last.host().offset() + last.host().size()) * last.host().dtype().bytes(), 4L);
        if (first.host().storage() != words.host().storage() || last.host().storage() != words.host().storage() || from > to) {
            throw new IllegalArgumentException("a range from " + first.host() + " to " + last.host() + " that is none of this block");
        }
        return new HostMirror(words(words.host(), from, to), words(words.device(), from, to));
    }

    private static Tensor words(Tensor of, long from, long to) {
        return of.columns(Math.toIntExact(from), Math.toIntExact(to));
    }
}

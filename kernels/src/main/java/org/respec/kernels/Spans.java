package org.respec.kernels;

/**
 * Sequences packed one after another into the rows of a training pass.
 *
 * @param starts I32 [1 x maxSequences + 1] first row of each sequence, then the number of rows
 * @param rowStarts I32 [1 x maxRows] for each row the first row of its sequence
 * @param positions I32 [1 x maxRows] position in the sequence
 */
public record Spans(HostMirror starts, HostMirror rowStarts, HostMirror positions) {
    /** Room for so many rows and sequences. */
    public static Spans allocate(TensorArena arena, int maxRows, int maxSequences) {
        return new Spans(arena.mirror(DType.I32, 1, maxSequences + 1), arena.mirror(DType.I32, 1, maxRows),
            arena.mirror(DType.I32, 1, maxRows));
    }
}

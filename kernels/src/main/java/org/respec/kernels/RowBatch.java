package org.respec.kernels;

/**
 * What the rows of one forward pass are: each row is one token of one request, and a request's rows are neighbours.
 *
 * <p>Row {@code i} sees the first {@code contexts[i]} tokens of its sequence and, past them, every in-flight token {@code j} of
 * the same request whose bit is set in {@code masks[i]}; in-flight token {@code j} lies at logical place
 * {@code committed[request] + j}. A decoded token or tree node sets its own bit and its ancestors'; a prefilled token has mask 0
 * and sees itself as the last of its {@code contexts}. In-flight tokens are numbered parents first.
 *
 * @param tokens I32 [1 x maxRows] token ids
 * @param positions I32 [1 x maxRows] position in the sequence, for RoPE; the token sampled from this row is at the next one
 * @param slots I32 [1 x maxRows] KV slot that this row's key and value go to
 * @param contexts I32 [1 x maxRows]
 * @param masks I64 [1 x maxRows]
 * @param rowRequests I32 [1 x maxRows] index of the request in this batch
 * @param firstRows I32 [1 x maxRequests + 1] first row of each request, then the number of rows
 * @param sequences I32 [1 x maxRequests] row of the page table
 * @param committed I32 [1 x maxRequests] tokens of the sequence that are in the cache for good
 * @param requestIds I64 [1 x maxRequests] the request's own number, for the noise field
 */
public record RowBatch(HostMirror tokens, HostMirror positions, HostMirror slots, HostMirror contexts, HostMirror masks,
                       HostMirror rowRequests, HostMirror firstRows, HostMirror sequences, HostMirror committed,
                       HostMirror requestIds) {

    /** Room for so many rows and requests, in the order of the components. */
    public static RowBatch allocate(Mirrors arena, int maxRows, int maxRequests) {
        return new RowBatch(arena.mirror(DType.I32, 1, maxRows), arena.mirror(DType.I32, 1, maxRows),
            arena.mirror(DType.I32, 1, maxRows), arena.mirror(DType.I32, 1, maxRows), arena.mirror(DType.I64, 1, maxRows),
            arena.mirror(DType.I32, 1, maxRows), arena.mirror(DType.I32, 1, maxRequests + 1),
            arena.mirror(DType.I32, 1, maxRequests), arena.mirror(DType.I32, 1, maxRequests),
            arena.mirror(DType.I64, 1, maxRequests));
    }

    /** Bytes that {@link #allocate} takes of a {@link MirrorBlock}. */
    public static long bytes(int maxRows, int maxRequests) {
        return 5 * MirrorBlock.bytes(DType.I32, 1, maxRows) + MirrorBlock.bytes(DType.I64, 1, maxRows)
            + MirrorBlock.bytes(DType.I32, 1, maxRequests + 1) + 2 * MirrorBlock.bytes(DType.I32, 1, maxRequests)
            + MirrorBlock.bytes(DType.I64, 1, maxRequests);
    }

    /** Most rows. */
    public int maxRows() {
        return tokens.host().cols();
    }

    /** Most requests. */
    public int maxRequests() {
        return sequences.host().cols();
    }
}

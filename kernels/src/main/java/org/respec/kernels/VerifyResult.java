package org.respec.kernels;

/**
 * What {@link Ops#verifyTrees} decided, per request.
 *
 * @param pathLengths I32 [1 x requests] nodes on the accepted path with the root, at least 1: also the tokens gained
 * @param pathNodes I32 [requests x MAX_NODES] node indices from the root down
 */
public record VerifyResult(HostMirror pathLengths, HostMirror pathNodes) {
    /** Room for the paths of so many requests. */
    public static VerifyResult allocate(Mirrors arena, int maxRequests) {
        return new VerifyResult(arena.mirror(DType.I32, 1, maxRequests), arena.mirror(DType.I32, maxRequests, TreeBatch.MAX_NODES));
    }

    /** Bytes that {@link #allocate} takes of a {@link MirrorBlock}. */
    public static long bytes(int maxRequests) {
        return MirrorBlock.bytes(DType.I32, 1, maxRequests) + MirrorBlock.bytes(DType.I32, maxRequests, TreeBatch.MAX_NODES);
    }
}

package org.respec.kernels;

/**
 * The draft trees of a batch, as arrays per request.
 *
 * <p>The <em>pool</em> holds every candidate the drafter has named, level by level, parents first; {@link Ops#draftExpand} grows
 * it. {@link Ops#draftSelect} keeps the best as the tree's <em>nodes</em>: node 0 is the root (the last token already decided),
 * nodes 1 and on are candidates in pool order, so parents come first.
 *
 * @param levelBiases F32 [requests x MAX_DEPTH] what {@link Ops#draftExpand} adds to the log-chances of a request's candidates at each
 *     level, from 1: 0 takes the drafter's estimates as they are
 * @param poolTokens I32 [requests x POOL]
 * @param poolParents I32 [requests x POOL] pool index, or -1 for children of the root
 * @param poolRanks I32 [requests x POOL] 0 for the drafter's first choice among its siblings
 * @param poolDepths I32 [requests x POOL] 1 for children of the root
 * @param poolScores F32 [requests x POOL] log of the estimated chance that the node is on the accepted path
 * @param poolMasks I64 [requests x POOL] for expanded candidates: own and ancestors' bits in the draft pass
 * @param poolCounts I32 [1 x requests]
 * @param frontier I32 [requests x MAX_BRANCH] pool indices that the next draft pass expands
 * @param frontierParents I32 [1 x requests * MAX_BRANCH] row of the last draft pass that each frontier token came from
 * @param budgets I32 [1 x requests] most candidates that a tree keeps, 0 to MAX_NODES - 1
 * @param nodeTokens I32 [requests x MAX_NODES]
 * @param nodeParents I32 [requests x MAX_NODES] node index, -1 for the root
 * @param nodeDepths I32 [requests x MAX_NODES] 0 for the root
 * @param nodePool I32 [requests x MAX_NODES] pool index, -1 for the root
 * @param nodeMasks I64 [requests x MAX_NODES] own and ancestors' bits
 * @param nodeCounts I32 [1 x requests] nodes with the root, at least 1
 */
public record TreeBatch(HostMirror levelBiases, HostMirror poolTokens, HostMirror poolParents, HostMirror poolRanks, HostMirror poolDepths,
                        HostMirror poolScores, HostMirror poolMasks, HostMirror poolCounts, HostMirror frontier,
                        HostMirror frontierParents, HostMirror budgets, HostMirror nodeTokens, HostMirror nodeParents,
                        HostMirror nodeDepths, HostMirror nodePool, HostMirror nodeMasks, HostMirror nodeCounts) {
    /** Most nodes of a tree, root included: ancestors fit one 64-bit mask. */
    public static final int MAX_NODES = 64;
    /** Most children that one expansion names. */
    public static final int MAX_BRANCH = 8;
    /** Most levels below the root. */
    public static final int MAX_DEPTH = 8;
    /** Room for the candidates of one tree. */
    public static final int POOL = MAX_BRANCH + (MAX_DEPTH - 1) * MAX_BRANCH * MAX_BRANCH;

    /** Room for the trees of so many requests. */
    public static TreeBatch allocate(Mirrors arena, int maxRequests) {
        return allocate(arena, arena, maxRequests);
    }

    /** @param read where those come from that the host reads after a step: levelBiases, poolCounts, nodePool, poolTokens,
     *     poolParents, poolScores, in this order */
    public static TreeBatch allocate(Mirrors arena, Mirrors read, int maxRequests) {
        HostMirror levelBiases = read.mirror(DType.F32, maxRequests, MAX_DEPTH);
        HostMirror poolCounts = read.mirror(DType.I32, 1, maxRequests);
        HostMirror nodePool = read.mirror(DType.I32, maxRequests, MAX_NODES);
        HostMirror poolTokens = read.mirror(DType.I32, maxRequests, POOL);
        HostMirror poolParents = read.mirror(DType.I32, maxRequests, POOL);
        HostMirror poolScores = read.mirror(DType.F32, maxRequests, POOL);
        return new TreeBatch(levelBiases, poolTokens, poolParents, arena.mirror(DType.I32, maxRequests, POOL),
            arena.mirror(DType.I32, maxRequests, POOL), poolScores,
            arena.mirror(DType.I64, maxRequests, POOL), poolCounts, arena.mirror(DType.I32, maxRequests, MAX_BRANCH),
            arena.mirror(DType.I32, 1, maxRequests * MAX_BRANCH), arena.mirror(DType.I32, 1, maxRequests),
            arena.mirror(DType.I32, maxRequests, MAX_NODES), arena.mirror(DType.I32, maxRequests, MAX_NODES),
            arena.mirror(DType.I32, maxRequests, MAX_NODES), nodePool, arena.mirror(DType.I64, maxRequests, MAX_NODES),
            arena.mirror(DType.I32, 1, maxRequests));
    }

    /** Bytes that {@link #allocate(Mirrors, Mirrors, int)} takes of {@code read}, if that is a {@link MirrorBlock}. */
    public static long readBytes(int maxRequests) {
        return MirrorBlock.bytes(DType.F32, maxRequests, MAX_DEPTH) + MirrorBlock.bytes(DType.I32, 1, maxRequests)
            + 2 * MirrorBlock.bytes(DType.I32, maxRequests, POOL) + MirrorBlock.bytes(DType.F32, maxRequests, POOL)
            + MirrorBlock.bytes(DType.I32, maxRequests, MAX_NODES);
    }
}

package org.respec.engine.rollout;

import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvStore;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;

/** The keys and values of accepted nodes that are not yet where their tokens' places are. */
final class KvMoves {
    private final Ops ops;
    private final HostView from;
    private final HostView to;
    private final HostMirror both;
    private int count;

    KvMoves(Ops ops, TensorArena arena, int most) {
        this.ops = ops;
        MirrorBlock block = new MirrorBlock(arena, 2 * MirrorBlock.bytes(DType.I32, 1, most));
        from = new HostView(block.mirror(DType.I32, 1, most));
        to = new HostView(block.mirror(DType.I32, 1, most));
        both = block.range(from.mirror(), to.mirror());
    }

    /** Notes a move from one cache slot to another. */
    void add(int fromSlot, int toSlot) {
        from.setInt(count, fromSlot);
        to.setInt(count, toSlot);
        count++;
    }

    /** Moves what was noted since the last call. */
    void run(KvStore store) {
        if (count == 0) {
            return;
        }
        ops.push(both, both.host().size());
        ops.kvMove(store, from.mirror(), to.mirror(), count);
        count = 0;
    }
}

package org.respec.kernels.gpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/**
 * Writes and moves in the paged cache: checks, then launches. Cache and rows are each F32 or BF16. Slots of {@link #kvAppend} may have been
 * made on the device and are checked there; moves and page copies are planned on the host and checked on both sides.
 */
final class GpuCache {
    private final KvAppendKernel append;
    private final KvMoveKernel move;

    GpuCache(GpuContext gpu) {
        append = new KvAppendKernel(gpu);
        move = new KvMoveKernel(gpu);
    }

    /** Throws unless keys and values of this shape can be written to that layer. */
    static void check(String operator, AttentionShape shape, KvStore kv, int layer) {
        KvLayout l = kv.layout();
        if (l.kvHeads() != shape.kvHeads() || l.headDim() != shape.headDim() || layer < 0 || layer >= l.layers()) {
            throw new IllegalArgumentException(operator + ": layer " + layer + " of " + l + " does not fit " + shape);
        }
        FloatChecks.type(operator, "the cache", kv.data());
    }

    void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows) {
        check("kvAppend", shape, kv, layer);
        FloatChecks.matrix("kvAppend", "qkv", qkv, rows, shape.fusedWidth());
        Checks.vector("kvAppend", "slots", batch.slots().device(), DType.I32, rows);
        append.launch(qkv, shape, kv, layer, batch.slots().device(), rows);
    }

    void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count) {
        int slots = kv.layout().pages() * kv.layout().pageSize();
        Checks.indices("kvMove", "fromSlots", fromSlots.host(), count, slots);
        Checks.indices("kvMove", "toSlots", toSlots.host(), count, slots);
        move.launchSlots(kv, fromSlots.device(), toSlots.device(), count);
    }

    void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count) {
        Checks.indices("kvCopyPages", "fromPages", fromPages.host(), count, kv.layout().pages());
        Checks.indices("kvCopyPages", "toPages", toPages.host(), count, kv.layout().pages());
        move.launchPages(kv, fromPages.device(), toPages.device(), count);
    }
}

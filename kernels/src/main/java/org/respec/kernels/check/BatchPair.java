package org.respec.kernels.check;

import java.util.List;
import java.util.function.Function;
import org.respec.kernels.HostMirror;
import org.respec.kernels.RowBatch;

/** The same {@link RowBatch} on the CPU and on a device. */
final class BatchPair {
    final RowBatch truth;
    final RowBatch device;
    final MirrorPair tokens;
    final MirrorPair positions;
    final MirrorPair slots;
    final MirrorPair contexts;
    final MirrorPair masks;
    final MirrorPair rowRequests;
    final MirrorPair firstRows;
    final MirrorPair sequences;
    final MirrorPair committed;
    final MirrorPair requestIds;

    BatchPair(CheckBench bench, int maxRows, int maxRequests) {
        truth = RowBatch.allocate(bench.truthArena(), maxRows, maxRequests);
        device = RowBatch.allocate(bench.deviceArena(), maxRows, maxRequests);
        tokens = pair(bench, RowBatch::tokens);
        positions = pair(bench, RowBatch::positions);
        slots = pair(bench, RowBatch::slots);
        contexts = pair(bench, RowBatch::contexts);
        masks = pair(bench, RowBatch::masks);
        rowRequests = pair(bench, RowBatch::rowRequests);
        firstRows = pair(bench, RowBatch::firstRows);
        sequences = pair(bench, RowBatch::sequences);
        committed = pair(bench, RowBatch::committed);
        requestIds = pair(bench, RowBatch::requestIds);
    }

    private MirrorPair pair(CheckBench bench, Function<RowBatch, HostMirror> field) {
        return new MirrorPair(bench.device(), field.apply(truth), field.apply(device));
    }

    private List<MirrorPair> all() {
        return List.of(tokens, positions, slots, contexts, masks, rowRequests, firstRows, sequences, committed, requestIds);
    }

    void push() {
        all().forEach(MirrorPair::push);
    }

    /** Fails unless all of both batches is equal. */
    void same(CheckBench bench, String what) {
        tokens.same(bench, what + ": tokens");
        positions.same(bench, what + ": positions");
        slots.same(bench, what + ": slots");
        contexts.same(bench, what + ": contexts");
        masks.same(bench, what + ": masks");
        rowRequests.same(bench, what + ": rowRequests");
        firstRows.same(bench, what + ": firstRows");
    }
}

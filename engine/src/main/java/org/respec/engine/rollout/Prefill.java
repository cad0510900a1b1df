package org.respec.engine.rollout;

import org.respec.engine.kv.PagedKvCache;
import org.respec.kernels.TensorArena;

/**
 * Decided tokens whose keys and values are still to be computed: those of all requests that join between two steps, in as few passes
 * as take their rows. A sequence's places are committed when its tokens are added, so that it can be forked before they are computed.
 */
final class Prefill {
    private final PagedKvCache cache;
    private final VerifyPass pass;
    private final KeptRows keptRows;
    private final BatchView batch;
    private final int maxRows;

    /** @param arena holds its buffers */
    Prefill(TensorArena arena, PagedKvCache cache, VerifyPass pass, KeptRows keptRows, RolloutLimits limits) {
        this.cache = cache;
        this.pass = pass;
        this.keptRows = keptRows;
        this.maxRows = limits.maxRows();
        this.batch = new BatchView(arena, maxRows, limits.maxBatch());
    }

    /**
     * Adds a request's tokens from the end of a sequence, which is its own or its group's, up to position {@code to}. A request may add
     * to one of the two between runs.
     *
     * @throws IllegalStateException if there are no pages for them
     */
    void add(int sequence, Slot slot, int to) {
        int from = cache.length(sequence);
        if (!cache.reserve(sequence, to - from)) {
            throw new IllegalStateException("admission let in a request whose prefill does not fit");
        }
        cache.commit(sequence, to - from);
        batch.addRequest(cache.row(sequence), from, slot.requestId);
        for (int position = from; position < to; position++) {
            if (batch.rows() == maxRows) {
                run();
                batch.addRequest(cache.row(sequence), position, slot.requestId);
            }
            keptRows.add(slot, position, batch.rows());
            batch.addRow(slot.tokens[position], position, cache.slot(sequence, position), position + 1, 0L);
        }
    }

    /** Computes what was added and not yet computed. */
    void run() {
        if (batch.rows() > 0) {
            cache.sync();
            pass.prefill(batch, keptRows.added());
        }
        batch.clear();
    }
}

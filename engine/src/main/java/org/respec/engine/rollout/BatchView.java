package org.respec.engine.rollout;

import org.respec.kernels.HostMirror;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.TensorArena;

/** A {@link RowBatch} with host access, filled request by request, row by row. */
final class BatchView {
    final RowBatch batch;
    final HostView tokens;
    final HostView positions;
    final HostView slots;
    final HostView contexts;
    final HostView masks;
    final HostView rowRequests;
    final HostView firstRows;
    final HostView sequences;
    final HostView committed;
    final HostView requestIds;
    private final HostMirror rowsAndRequests;
    private final HostMirror requestsOnly;
    private int requests;
    private int rows;

    BatchView(TensorArena arena, int maxRows, int maxRequests) {
        this(new MirrorBlock(arena, RowBatch.bytes(maxRows, maxRequests)), maxRows, maxRequests);
    }

    /** A view whose batch is the next thing in a block. */
    BatchView(MirrorBlock block, int maxRows, int maxRequests) {
        batch = RowBatch.allocate(block, maxRows, maxRequests);
        rowsAndRequests = block.range(batch.tokens(), batch.requestIds());
        requestsOnly = block.range(batch.firstRows(), batch.requestIds());
        tokens = new HostView(batch.tokens());
        positions = new HostView(batch.positions());
        slots = new HostView(batch.slots());
        contexts = new HostView(batch.contexts());
        masks = new HostView(batch.masks());
        rowRequests = new HostView(batch.rowRequests());
        firstRows = new HostView(batch.firstRows());
        sequences = new HostView(batch.sequences());
        committed = new HostView(batch.committed());
        requestIds = new HostView(batch.requestIds());
    }

    void clear() {
        requests = 0;
        rows = 0;
    }

    int requests() {
        return requests;
    }

    int rows() {
        return rows;
    }

    /** Begins a request; rows added from now on are its own. */
    void addRequest(int sequence, int committedTokens, long requestId) {
        sequences.setInt(requests, sequence);
        committed.setInt(requests, committedTokens);
        requestIds.setLong(requests, requestId);
        firstRows.setInt(requests, rows);
        requests++;
        firstRows.setInt(requests, rows);
    }

    /** Adds a row to the last request. */
    void addRow(int token, int position, int slot, int context, long mask) {
        tokens.setInt(rows, token);
        positions.setInt(rows, position);
        slots.setInt(rows, slot);
        contexts.setInt(rows, context);
        masks.setLong(rows, mask);
        rowRequests.setInt(rows, requests - 1);
        rows++;
        firstRows.setInt(requests, rows);
    }

    /** Sends what was filled to the device, in one transfer. */
    void push(Ops ops) {
        ops.push(rowsAndRequests, rowsAndRequests.host().size());
    }

    /** Sends only what belongs to requests; an operator fills the rows. */
    void pushRequests(Ops ops) {
        ops.push(requestsOnly, requestsOnly.host().size());
    }

    /** Says that every request has {@code each} rows, which an operator fills. */
    void uniformRows(int each) {
        rows = requests * each;
        for (int r = 0; r <= requests; r++) {
            firstRows.setInt(r, r * each);
        }
    }

    /** Says how many rows an operator is about to fill. The host then knows nothing of their contexts but what is committed. */
    void rowsToFill(int count) {
        rows = count;
        for (int i = 0; i < count; i++) {
            contexts.setInt(i, 0);
        }
    }
}

package org.respec.engine.rollout;

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
    private int requests;
    private int rows;

    BatchView(TensorArena arena, int maxRows, int maxRequests) {
        batch = RowBatch.allocate(arena, maxRows, maxRequests);
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

    /** Sends what was filled to the device. */
    void push(Ops ops) {
        pushRequests(ops);
        firstRows.push(ops, requests + 1L);
        tokens.push(ops, rows);
        positions.push(ops, rows);
        slots.push(ops, rows);
        contexts.push(ops, rows);
        masks.push(ops, rows);
        rowRequests.push(ops, rows);
    }

    /** Sends only what belongs to requests; an operator fills the rows. */
    void pushRequests(Ops ops) {
        sequences.push(ops, requests);
        committed.push(ops, requests);
        requestIds.push(ops, requests);
        firstRows.push(ops, requests + 1L);
    }

    /** Says that every request has {@code each} rows, which an operator fills. */
    void uniformRows(int each) {
        rows = requests * each;
        for (int r = 0; r <= requests; r++) {
            firstRows.setInt(r, r * each);
        }
    }

    /** Says how many rows an operator has filled. */
    void filledRows(int count) {
        rows = count;
    }
}

package org.respec.engine.model;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Spans;

/** Packs sequences into the token rows of a training pass. */
public final class PassFiller {
    private final HostMirror tokens;
    private final Spans spans;
    private final MemorySegment tokenRows;
    private final MemorySegment starts;
    private final MemorySegment rowStarts;
    private final MemorySegment positions;
    private int sequences;
    private int rows;
    private int start;

    /**
     * @param tokens I32 [1 x rows] token of each row, filled here
     * @param spans filled here too
     */
    public PassFiller(HostMirror tokens, Spans spans) {
        this.tokens = tokens;
        this.spans = spans;
        this.tokenRows = tokens.host().host();
        this.starts = spans.starts().host().host();
        this.rowStarts = spans.rowStarts().host().host();
        this.positions = spans.positions().host().host();
        starts.setAtIndex(ValueLayout.JAVA_INT, 0, 0);
    }

    /** Rows added so far. */
    public int rows() {
        return rows;
    }

    /** Rows added from now on belong to a new sequence. */
    public void beginSequence() {
        start = rows;
        sequences++;
        starts.setAtIndex(ValueLayout.JAVA_INT, sequences, rows);
    }

    /** Adds the next token of the current sequence. */
    public void addRow(int token) {
        tokenRows.setAtIndex(ValueLayout.JAVA_INT, rows, token);
        rowStarts.setAtIndex(ValueLayout.JAVA_INT, rows, start);
        positions.setAtIndex(ValueLayout.JAVA_INT, rows, rows - start);
        rows++;
        starts.setAtIndex(ValueLayout.JAVA_INT, sequences, rows);
    }

    /** Sends all of it to the device. */
    public void push(Ops ops) {
        ops.push(tokens, rows);
        ops.push(spans.starts(), sequences + 1L);
        ops.push(spans.rowStarts(), rows);
        ops.push(spans.positions(), rows);
    }
}

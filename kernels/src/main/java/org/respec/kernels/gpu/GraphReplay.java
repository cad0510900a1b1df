package org.respec.kernels.gpu;

import java.util.Arrays;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.kernels.KvStore;
import org.respec.kernels.Replay;
import org.respec.kernels.RowBatch;

/**
 * Work as graphs. Launches are a function of what work is the same by ({@link Replay}) and of the longest context, which tree attention
 * takes in few steps ({@link TreeAttentionKernel#columnsBucket}): there is one graph for each of these. The first time a piece of work
 * runs as it is, so that kernels are compiled and workspaces allocated outside of a recording; the second time too, since much of what
 * comes while a batch drains comes no more than twice and would be recorded in vain; the third time it is recorded. What cannot be
 * recorded runs as it is for ever. The graphs used longest ago give way to new ones, by their number and by the memory that all graphs of
 * these operators may take ({@link GraphMemory}). Nothing is allocated while graphs replay.
 *
 * <p>How many different pieces there are: a decode step has one for each number of live requests and plan, times a step of context
 * length. A batch that is full stays at one; while it drains there are as many as requests, over and over from one rollout to the next,
 * so that with fewer graphs than that each would give way before it is used again.
 */
final class GraphReplay implements Replay {
    /** A drain from 256 requests with two plans. */
    static final int MOST_GRAPHS = 512;
    private static final int RUNS_UNRECORDED = 2;
    private static final System.Logger LOG = System.getLogger(GraphReplay.class.getName());

    private final GpuContext gpu;
    private final GraphMemory memory;
    private final String name;
    private final Piece[] pieces;
    private int count;
    private boolean toldOfMemory;

    GraphReplay(GpuContext gpu, String name) {
        this(gpu, gpu.graphs(), name, MOST_GRAPHS);
    }

    GraphReplay(GpuContext gpu, GraphMemory memory, String name, int mostGraphs) {
        this.gpu = gpu;
        this.memory = memory;
        this.name = name;
        this.pieces = new Piece[mostGraphs];
        Arrays.setAll(pieces, i -> new Piece());
    }

    /** What a graph is for, and how far it is. */
    private static final class Piece {
        int key;
        RowBatch batch;
        KvStore kv;
        int requests;
        int rows;
        int columns;
        long used;
        int runs;
        long kernels;
        boolean refused;
        GraphMemory.Held graph;

        boolean is(int wantedKey, RowBatch wantedBatch, KvStore wantedKv, int wantedRequests, int wantedRows, int wantedColumns) {
            return rows == wantedRows && requests == wantedRequests && columns == wantedColumns && key == wantedKey
                && batch == wantedBatch && kv == wantedKv;
        }
    }

    @Override
    public void run(int key, RowBatch batch, KvStore kv, int requests, int rows, Runnable work) {
        int columns = TreeAttentionKernel.columnsBucket(
            TreeAttentionKernel.mostColumns(batch, requests, rows, TreeAttentionKernel.capacity(kv)));
        Piece piece = find(key, batch, kv, requests, rows, columns);
        piece.used = memory.tick();
        if (piece.graph != null && !piece.graph.isAlive()) {
            // Others needed its memory, and it has to come as often as a new one.
            piece.graph = null;
            piece.runs = 0;
        }
        if (piece.graph != null) {
            memory.launch(piece.graph);
        } else if (piece.runs >= RUNS_UNRECORDED && !piece.refused) {
            record(piece, work);
        } else {
            runAsItIs(piece, work);
        }
    }

    private Piece find(int key, RowBatch batch, KvStore kv, int requests, int rows, int columns) {
        Piece oldest = null;
        for (int i = 0; i < count; i++) {
            Piece piece = pieces[i];
            if (piece.is(key, batch, kv, requests, rows, columns)) {
                return piece;
            }
            if (oldest == null || piece.used < oldest.used) {
                oldest = piece;
            }
        }
        Piece fresh = count < pieces.length ? pieces[count++] : oldest;
        if (fresh.graph != null) {
            // It may still be running.
            gpu.stream().synchronize();
            forget(fresh);
        }
        fresh.key = key;
        fresh.batch = batch;
        fresh.kv = kv;
        fresh.requests = requests;
        fresh.rows = rows;
        fresh.columns = columns;
        fresh.runs = 0;
        fresh.refused = false;
        return fresh;
    }

    private void runAsItIs(Piece piece, Runnable work) {
        long before = gpu.stream().launches();
        work.run();
        piece.kernels = gpu.stream().launches() - before;
        piece.runs = Math.min(piece.runs + 1, RUNS_UNRECORDED);
    }

    private void record(Piece piece, Runnable work) {
        GpuGraph graph = recorded(piece, work);
        if (graph == null || !started(graph, piece)) {
            work.run();
            return;
        }
        piece.graph = memory.add(graph, piece.kernels);
        if (piece.graph == null) {
            refuseForMemory(piece, "takes more");
        }
    }

    /** Null if it was refused, for ever or until others' graphs are out of use. */
    private GpuGraph recorded(Piece piece, Runnable work) {
        if (memory.isTooLarge(piece.kernels)) {
            refuseForMemory(piece, "would take some " + mebibytes(memory.expected(piece.kernels)));
            return null;
        }
        if (!memory.begin(piece.kernels)) {
            return null;
        }
        try {
            return gpu.record(work);
        } catch (RuntimeException e) {
            refuse(piece, e.getMessage());
            return null;
        }
    }

    /** Starts a graph for the first time, when the device may find that it has no memory for it: nothing has run then. */
    private boolean started(GpuGraph graph, Piece piece) {
        try {
            graph.launch(gpu.stream());
            return true;
        } catch (GpuOutOfMemory e) {
            // Any other failure may be of what ran before, or of work that has begun, and is for the caller.
            graph.close();
            refuse(piece, e.getMessage());
            return false;
        }
    }

    /** Said once, for where it is so it is so of all large pieces. */
    private void refuseForMemory(Piece piece, String takes) {
        piece.refused = true;
        if (!toldOfMemory) {
            toldOfMemory = true;
            refuse(piece, "of the " + mebibytes(memory.budget()) + " of memory that graphs may have, it " + takes);
        }
    }

    private void refuse(Piece piece, String why) {
        piece.refused = true;
        LOG.log(System.Logger.Level.WARNING, name + ": a step of " + piece.requests + " requests and " + piece.rows
            + " rows cannot be recorded as a graph and runs without one: " + why);
    }

    private static String mebibytes(long bytes) {
        return Math.ceilDiv(bytes, 1L << 20) + " MiB";
    }

    /** Graphs there are, for tests. */
    int graphs() {
        return (int) Arrays.stream(pieces).filter(piece -> piece.graph != null && piece.graph.isAlive()).count();
    }

    private void forget(Piece piece) {
        if (piece.graph != null) {
            memory.letGo(piece.graph);
            piece.graph = null;
        }
    }

    @Override
    public void close() {
        if (graphs() > 0) {
            gpu.stream().synchronize();
        }
        for (Piece piece : pieces) {
            forget(piece);
        }
        count = 0;
    }
}

package org.respec.engine.distill;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.memory.HostArena;
import org.respec.engine.rollout.CapturedRows;
import org.respec.engine.rollout.Trajectory;

/**
 * What the drafter learns from: the newest trajectories' tokens, features and teacher data, off-heap, oldest out first. A ring over
 * rows; an entry never wraps.
 */
public final class ReplayBuffer implements AutoCloseable {
    /** Where one trajectory lies: {@code rows} feature rows from {@code start}; tokens number one more. */
    record Entry(int start, int rows, int firstTaught, float weight, int[] tokens) {
    }

    private final HostArena arena = new HostArena("replay buffer");
    private final int capacity;
    private final int width;
    private final int topK;
    private final MemorySegment features;
    private final MemorySegment ids;
    private final MemorySegment logProbs;
    private final MemorySegment tails;
    private final ArrayDeque<Entry> entries = new ArrayDeque<>();
    private int next;

    /**
     * @param capacity rows (tokens) held
     * @param width features per row
     * @param topK teacher tokens per row
     */
    public ReplayBuffer(int capacity, int width, int topK) {
        this.capacity = capacity;
        this.width = width;
        this.topK = topK;
        features = arena.allocate(Math.multiplyExact(4L * capacity, width));
        ids = arena.allocate(Math.multiplyExact(4L * capacity, topK));
        logProbs = arena.allocate(Math.multiplyExact(4L * capacity, topK));
        tails = arena.allocate(4L * capacity);
    }

    /** Trajectories held. */
    public int size() {
        return entries.size();
    }

    /** Rows held. */
    public int rows() {
        int rows = 0;
        for (Entry entry : entries) {
            rows += entry.rows;
        }
        return rows;
    }

    List<Entry> entries() {
        return new ArrayList<>(entries);
    }

    /** The newest entries that hold {@code share} of all rows, in order of age; at least one, if there are any. */
    List<Entry> newest(double share) {
        List<Entry> all = entries();
        double wanted = share * rows();
        int from = all.size();
        for (int rows = 0; from > 0 && rows < wanted; rows += all.get(from).rows) {
            from--;
        }
        return all.subList(from, all.size());
    }

    int width() {
        return width;
    }

    int topK() {
        return topK;
    }

    /** Bytes of a buffer of such sizes. */
    public static long bytes(int capacity, int width, int topK) {
        return Math.multiplyExact(Float.BYTES * (long) capacity, width + 2 * topK + 1);
    }

    /**
     * Copies in a trajectory's by-products; false if it is too short to teach anything or longer than the whole buffer. One whose rows
     * were not kept, for those that come after it leave no room for it, takes its place without them, and is not held: all others then
     * lie where they would.
     */
    public boolean add(Trajectory trajectory, float weight) {
        CapturedRows capture = trajectory.capture();
        int rows = capture.rows();
        if (rows < 2 || rows > capacity) {
            return false;
        }
        int[] tokens = new int[rows + 1];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = trajectory.token(i);
        }
        Entry entry = place(rows, capture.firstTaught(), weight, tokens);
        if (!capture.kept()) {
            entries.removeLast();
            return false;
        }
        int taught = rows - capture.firstTaught();
        long at = entry.start + capture.firstTaught();
        MemorySegment.copy(capture.features(), 0, features, 4L * entry.start * width, 4L * rows * width);
        MemorySegment.copy(capture.teacherIds(), 0, ids, 4L * at * topK, 4L * taught * topK);
        MemorySegment.copy(capture.teacherLogProbs(), 0, logProbs, 4L * at * topK, 4L * taught * topK);
        MemorySegment.copy(capture.teacherTails(), 0, tails, 4L * at, 4L * taught);
        return true;
    }

    private Entry place(int rows, int firstTaught, float weight, int[] tokens) {
        int start = next + rows <= capacity ? next : 0;
        int end = start + rows;
        // The ring's oldest entries lie right after the newest, so whatever overlaps is at the front of the queue; entries left between
        // the newest and the end of the ring by a wrap are older still.
        while (!entries.isEmpty() && (overlaps(entries.getFirst(), start, end) || (start < next && entries.getFirst().start >= next))) {
            entries.removeFirst();
        }
        Entry entry = new Entry(start, rows, firstTaught, weight, tokens);
        entries.addLast(entry);
        next = end;
        return entry;
    }

    private static boolean overlaps(Entry entry, int start, int end) {
        return entry.start < end && entry.start + entry.rows > start;
    }

    MemorySegment features() {
        return features;
    }

    MemorySegment ids() {
        return ids;
    }

    MemorySegment logProbs() {
        return logProbs;
    }

    /** Forgets everything. */
    public void clear() {
        entries.clear();
        next = 0;
    }

    /** Entries in order as numbers, for a checkpoint: next, count, then per entry start, rows, firstTaught, weight bits, tokens. */
    public int[] index() {
        int size = 2;
        for (Entry entry : entries) {
            size += 4 + entry.tokens.length;
        }
        int[] index = new int[size];
        int at = 0;
        index[at++] = next;
        index[at++] = entries.size();
        for (Entry entry : entries) {
            index[at++] = entry.start;
            index[at++] = entry.rows;
            index[at++] = entry.firstTaught;
            index[at++] = Float.floatToRawIntBits(entry.weight);
            System.arraycopy(entry.tokens, 0, index, at, entry.tokens.length);
            at += entry.tokens.length;
        }
        return index;
    }

    /** Takes over what {@link #index} wrote; the data segments must have been restored too. */
    public void restore(int[] index) {
        clear();
        int at = 0;
        int savedNext = index[at++];
        int count = index[at++];
        for (int i = 0; i < count; i++) {
            int start = index[at++];
            int rows = index[at++];
            int firstTaught = index[at++];
            float weight = Float.intBitsToFloat(index[at++]);
            if (start < 0 || rows < 2 || firstTaught < 0 || firstTaught > rows || (long) start + rows > capacity) {
                throw new IllegalArgumentException("replay index: entry " + i + " of " + rows + " rows at " + start + " is out of range");
            }
            int[] tokens = new int[rows + 1];
            System.arraycopy(index, at, tokens, 0, tokens.length);
            at += tokens.length;
            entries.addLast(new Entry(start, rows, firstTaught, weight, tokens));
        }
        next = savedNext;
    }

    /** The four data segments, for checkpoints: features, ids, log-probs, tails. */
    public List<MemorySegment> segments() {
        return List.of(features, ids, logProbs, tails);
    }

    float tail(long row) {
        return tails.getAtIndex(ValueLayout.JAVA_FLOAT, row);
    }

    @Override
    public void close() {
        arena.close();
    }
}

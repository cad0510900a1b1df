package org.respec.engine.kv;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;

/**
 * Sequences of cached keys and values in shared, reference-counted pages. A sequence has <em>committed</em> tokens at places 0 to
 * length - 1 and, after {@link #reserve}, writable places behind them for tokens in flight; {@link #commit} keeps the first of those
 * and gives the other pages back. {@link #fork} shares pages; a page that others share is copied before it is written. Nothing is
 * allocated on the heap after construction.
 *
 * <p>A handle names a sequence until it is closed; a closed handle is refused for ever, even when its place is used again.
 */
public final class PagedKvCache implements AutoCloseable {
    private static final int NONE = -1;

    private final Ops ops;
    private final TensorArena arena;
    private final KvLayout layout;
    private final HostMirror pages;
    private final String name;
    private TensorArena dataArena;
    /** Null while the pages' memory is given back. */
    private KvStore store;
    private final BlockAllocator allocator;
    private final MemorySegment table;
    private final int tableWidth;
    private final int capacity;
    private final int[] lengths;
    private final int[] pageCounts;
    private final int[] generations;
    private final boolean[] open;
    private final int[] freeRows;
    private int freeRowCount;
    private final int rowBits;
    private final HostMirror copyFrom;
    private final HostMirror copyTo;
    private final MemorySegment copySource;
    private final MemorySegment copyTarget;
    private boolean dirty = true;

    /**
     * @param maxSequences most open sequences
     * @param maxTokens most tokens of one sequence, in flight ones included
     */
    public PagedKvCache(Ops ops, KvLayout layout, int maxSequences, int maxTokens, String name) {
        if (maxSequences < 1 || maxTokens < 1) {
            throw new IllegalArgumentException("a cache for " + maxSequences + " sequences of " + maxTokens + " tokens");
        }
        this.ops = ops;
        this.layout = layout;
        this.arena = ops.arena(name);
        this.tableWidth = Math.ceilDiv(maxTokens, layout.pageSize());
        this.capacity = tableWidth * layout.pageSize();
        this.name = name;
        this.pages = arena.mirror(DType.I32, maxSequences, tableWidth);
        acquire();
        this.table = pages.host().host();
        this.table.fill((byte) 0xff);
        this.allocator = new BlockAllocator(layout.pages());
        this.lengths = new int[maxSequences];
        this.pageCounts = new int[maxSequences];
        this.generations = new int[maxSequences];
        this.open = new boolean[maxSequences];
        this.freeRows = new int[maxSequences];
        for (int i = 0; i < maxSequences; i++) {
            freeRows[i] = maxSequences - 1 - i;
        }
        this.freeRowCount = maxSequences;
        this.rowBits = Math.max(1, 32 - Integer.numberOfLeadingZeros(maxSequences - 1));
        this.copyFrom = arena.mirror(DType.I32, 1, 1);
        this.copyTo = arena.mirror(DType.I32, 1, 1);
        this.copySource = copyFrom.host().host();
        this.copyTarget = copyTo.host().host();
    }

    /**
     * Gives the pages' memory back. {@link #acquire} takes it again, elsewhere: work that was recorded over {@link #store} must be
     * forgotten first.
     *
     * @throws IllegalStateException if a sequence is open
     */
    public void release() {
        if (freeRowCount != open.length) {
            throw new IllegalStateException("pages of " + (open.length - freeRowCount) + " open sequences cannot be given back");
        }
        if (store != null) {
            store = null;
            dataArena.close();
        }
    }

    /** Takes the pages' memory, if it was given back. */
    public void acquire() {
        if (store == null) {
            dataArena = ops.arena(name + " pages");
            store = KvStore.allocate(dataArena, layout, pages);
        }
    }

    /** The cache as operators see it; {@link #sync} first. Null while its memory is given back. */
    public KvStore store() {
        return store;
    }

    /** Pages that no sequence holds. */
    public int freePages() {
        return allocator.freePages();
    }

    /** Pages that hold {@code tokens} tokens. */
    public int pagesFor(int tokens) {
        return Math.ceilDiv(tokens, layout.pageSize());
    }

    /** A new, empty sequence; {@link IllegalStateException} if all are open. */
    public int open() {
        if (freeRowCount == 0) {
            throw new IllegalStateException("all " + open.length + " sequences are open");
        }
        int row = freeRows[--freeRowCount];
        open[row] = true;
        lengths[row] = 0;
        pageCounts[row] = 0;
        return handle(row);
    }

    /** A new sequence with the committed tokens of another, in the same pages. */
    public int fork(int sequence) {
        int from = row(sequence);
        int copy = open();
        int to = row(copy);
        int pages = pagesFor(lengths[from]);
        for (int i = 0; i < pages; i++) {
            int page = page(from, i);
            allocator.retain(page);
            setPage(to, i, page);
        }
        lengths[to] = lengths[from];
        pageCounts[to] = pages;
        return copy;
    }

    /** Committed tokens. */
    public int length(int sequence) {
        return lengths[row(sequence)];
    }

    /**
     * Makes places length to length + tokens - 1 writable: takes pages, and copies a page that is shared. All or nothing.
     *
     * @return false, with nothing changed, if there are not enough free pages
     * @throws IllegalArgumentException if the sequence would grow past the most tokens of one sequence
     */
    public boolean reserve(int sequence, int tokens) {
        int row = row(sequence);
        int end = Math.addExact(lengths[row], tokens);
        if (tokens < 0 || end > capacity) {
            throw new IllegalArgumentException("a sequence of " + lengths[row] + " tokens cannot take " + tokens
                + " more: it holds at most " + capacity);
        }
        if (tokens == 0) {
            return true;
        }
        int pageSize = layout.pageSize();
        int firstWritten = lengths[row] / pageSize;
        boolean shared = firstWritten < pageCounts[row] && allocator.references(page(row, firstWritten)) > 1;
        int wanted = pagesFor(end);
        int fresh = Math.max(0, wanted - pageCounts[row]);
        if (fresh + (shared ? 1 : 0) > allocator.freePages()) {
            return false;
        }
        if (shared) {
            int old = page(row, firstWritten);
            int copy = allocator.allocate();
            copyPage(old, copy);
            allocator.release(old);
            setPage(row, firstWritten, copy);
        }
        for (int i = pageCounts[row]; i < wanted; i++) {
            setPage(row, i, allocator.allocate());
        }
        pageCounts[row] = Math.max(pageCounts[row], wanted);
        return true;
    }

    /** At once: a page whose copy is still to be made must not be written by its other owners. */
    private void copyPage(int from, int to) {
        copySource.setAtIndex(ValueLayout.JAVA_INT, 0, from);
        copyTarget.setAtIndex(ValueLayout.JAVA_INT, 0, to);
        ops.push(copyFrom, 1);
        ops.push(copyTo, 1);
        ops.kvCopyPages(store, copyFrom, copyTo, 1);
    }

    /** Keeps the first {@code tokens} reserved tokens and gives back the pages behind them. */
    public void commit(int sequence, int tokens) {
        int row = row(sequence);
        int end = Math.addExact(lengths[row], tokens);
        if (tokens < 0 || end > pageCounts[row] * layout.pageSize()) {
            throw new IllegalArgumentException("commit of " + tokens + " tokens, of which " + (pageCounts[row] * layout.pageSize()
                - lengths[row]) + " were reserved");
        }
        lengths[row] = end;
        dropPages(row, pagesFor(end));
    }

    /** Gives back everything that was reserved but not committed. */
    public void rollback(int sequence) {
        commit(sequence, 0);
    }

    /** Forgets committed tokens from place {@code length} on. */
    public void truncate(int sequence, int length) {
        int row = row(sequence);
        if (length < 0 || length > lengths[row]) {
            throw new IllegalArgumentException("truncation of a sequence of " + lengths[row] + " tokens to " + length);
        }
        lengths[row] = length;
        dropPages(row, pagesFor(length));
    }

    private void dropPages(int row, int keep) {
        while (pageCounts[row] > keep) {
            int last = --pageCounts[row];
            allocator.release(page(row, last));
            setPage(row, last, NONE);
        }
    }

    /** Ends a sequence. */
    public void close(int sequence) {
        int row = row(sequence);
        dropPages(row, 0);
        lengths[row] = 0;
        open[row] = false;
        generations[row]++;
        freeRows[freeRowCount++] = row;
    }

    /** Slot of a committed or reserved place. */
    public int slot(int sequence, int place) {
        int row = row(sequence);
        if (place < 0 || place >= pageCounts[row] * layout.pageSize()) {
            throw new IllegalArgumentException("place " + place + " of a sequence with " + pageCounts[row] + " pages of "
                + layout.pageSize());
        }
        return page(row, place / layout.pageSize()) * layout.pageSize() + place % layout.pageSize();
    }

    /** Row of the page table that belongs to a sequence. */
    public int row(int sequence) {
        int row = sequence & ((1 << rowBits) - 1);
        if (sequence < 0 || row >= open.length || !open[row] || handle(row) != sequence) {
            throw new IllegalStateException("sequence " + sequence + " is closed");
        }
        return row;
    }

    private int handle(int row) {
        return ((generations[row] << rowBits) & Integer.MAX_VALUE) | row;
    }

    /** Sends the page table to the device if it has changed. */
    public void sync() {
        if (dirty) {
            ops.push(pages, (long) open.length * tableWidth);
            dirty = false;
        }
    }

    private int page(int row, int index) {
        return table.getAtIndex(ValueLayout.JAVA_INT, (long) row * tableWidth + index);
    }

    private void setPage(int row, int index, int page) {
        table.setAtIndex(ValueLayout.JAVA_INT, (long) row * tableWidth + index, page);
        dirty = true;
    }

    /** Throws {@link IllegalStateException} unless page tables and reference counts agree and no page is lost. */
    public void verify() {
        allocator.verify();
        int[] counted = new int[layout.pages()];
        for (int row = 0; row < open.length; row++) {
            for (int i = 0; i < tableWidth; i++) {
                int page = page(row, i);
                if ((page >= 0) != (open[row] && i < pageCounts[row])) {
                    throw new IllegalStateException("entry " + i + " of page-table row " + row + " is " + page + " with "
                        + pageCounts[row] + " pages");
                }
                if (page >= 0) {
                    counted[page]++;
                }
            }
            if (lengths[row] > pageCounts[row] * layout.pageSize()) {
                throw new IllegalStateException("row " + row + " of length " + lengths[row] + " has " + pageCounts[row] + " pages");
            }
        }
        for (int page = 0; page < counted.length; page++) {
            if (counted[page] != allocator.references(page)) {
                throw new IllegalStateException("page " + page + " has " + allocator.references(page) + " references and "
                    + counted[page] + " uses");
            }
        }
    }

    @Override
    public void close() {
        if (store != null) {
            dataArena.close();
        }
        arena.close();
    }
}

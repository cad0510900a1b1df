package org.respec.engine.rollout;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.bindings.memory.HostArena;

/**
 * Which tokens followed which contexts, and how often: a cache of counts in off-heap memory of a fixed size. A context is a 64-bit key;
 * two contexts of one key are taken for one. Entries are cache lines, in sets of {@value #WAYS}; a new context takes the place of the
 * one of its set that was added to least recently. Counts fade, so that what a changed actor draws now outweighs what it drew once.
 */
final class NgramIndex implements AutoCloseable {
    /** Next tokens kept of a context. */
    static final int TOKENS = 8;
    static final int WAYS = 4;
    /** Counts of an entry are halved when they sum up to this. */
    static final int FADE_AT = 128;
    /** One set. */
    static final long LEAST_BYTES = 64L * WAYS;

    // Of an entry: key (0: empty), when it was last added to, sum of counts, tokens, counts.
    private static final long ENTRY = 64;
    private static final long STAMP = 8;
    private static final long TOTAL = 12;
    private static final long FIRST_TOKEN = 16;
    private static final long FIRST_COUNT = FIRST_TOKEN + 4L * TOKENS;

    private final HostArena arena = new HostArena("n-gram index");
    private final MemorySegment entries;
    private final long sets;
    private int clock;

    /** An index of at most {@code bytes}: the largest power of two of them that is not more. */
    NgramIndex(long bytes) {
        if (bytes < LEAST_BYTES) {
            throw new IllegalArgumentException("an n-gram index of " + bytes + " bytes; it takes at least " + LEAST_BYTES);
        }
        sets = Long.highestOneBit(bytes / LEAST_BYTES);
        entries = arena.allocate(sets * LEAST_BYTES);
    }

    /** Bytes it takes up, full or empty. */
    long bytes() {
        return arena.bytes();
    }

    /** Contexts held. */
    long size() {
        long used = 0;
        for (long entry = 0; entry < sets * LEAST_BYTES; entry += ENTRY) {
            used += entries.get(ValueLayout.JAVA_LONG, entry) != 0 ? 1 : 0;
        }
        return used;
    }

    /** Counts {@code token} as having followed the context {@code key}. */
    void add(long key, int token) {
        long tag = key == 0 ? 1 : key;
        long entry = entry(tag);
        entries.set(ValueLayout.JAVA_INT, entry + STAMP, ++clock);
        int at = 0;
        int least = 0;
        while (at < TOKENS) {
            int count = count(entry, at);
            if (count == 0 || token(entry, at) == token) {
                break;
            }
            least = count <= count(entry, least) ? at : least;
            at++;
        }
        int total = total(entry) + 1;
        if (at == TOKENS) {
            // All places are taken: a newcomer is likelier to come again than what was rarest.
            at = least;
            total -= count(entry, at);
            setCount(entry, at, 0);
        }
        entries.set(ValueLayout.JAVA_INT, entry + FIRST_TOKEN + 4L * at, token);
        setCount(entry, at, count(entry, at) + 1);
        entries.set(ValueLayout.JAVA_INT, entry + TOTAL, total >= FADE_AT ? fade(entry) : total);
    }

    /** Where a context's entry is, made if there is none. */
    private long entry(long tag) {
        long set = (tag & (sets - 1)) * LEAST_BYTES;
        long oldest = set;
        for (long entry = set; entry < set + LEAST_BYTES; entry += ENTRY) {
            long found = entries.get(ValueLayout.JAVA_LONG, entry);
            if (found == tag) {
                return entry;
            }
            if (found == 0) {
                entries.set(ValueLayout.JAVA_LONG, entry, tag);
                return entry;
            }
            // Differences, for the clock wraps around.
            oldest = clock - stamp(entry) > clock - stamp(oldest) ? entry : oldest;
        }
        // Word by word: a slice would be an object whenever C2 keeps this method out of line.
        for (long word = oldest; word < oldest + ENTRY; word += Long.BYTES) {
            entries.set(ValueLayout.JAVA_LONG, word, 0L);
        }
        entries.set(ValueLayout.JAVA_LONG, oldest, tag);
        return oldest;
    }

    /** Halves the counts; those that were 1 are gone. Returns their new sum. */
    private int fade(long entry) {
        int kept = 0;
        int total = 0;
        for (int i = 0; i < TOKENS; i++) {
            int count = count(entry, i) / 2;
            int token = token(entry, i);
            setCount(entry, i, 0);
            if (count > 0) {
                entries.set(ValueLayout.JAVA_INT, entry + FIRST_TOKEN + 4L * kept, token);
                setCount(entry, kept++, count);
                total += count;
            }
        }
        return total;
    }

    /** A context's entry, to be asked for tokens and counts before anything is added; -1 if it is not known. */
    long find(long key) {
        long tag = key == 0 ? 1 : key;
        long set = (tag & (sets - 1)) * LEAST_BYTES;
        for (long entry = set; entry < set + LEAST_BYTES; entry += ENTRY) {
            if (entries.get(ValueLayout.JAVA_LONG, entry) == tag) {
                return entry;
            }
        }
        return -1;
    }

    /** Sum of an entry's counts. */
    int total(long entry) {
        return entries.get(ValueLayout.JAVA_INT, entry + TOTAL);
    }

    /** The {@code i}-th token of an entry, from 0. */
    int token(long entry, int i) {
        return entries.get(ValueLayout.JAVA_INT, entry + FIRST_TOKEN + 4L * i);
    }

    /** How often the {@code i}-th token followed; 0 from the first place that is empty, up to {@link #TOKENS}. */
    int count(long entry, int i) {
        return entries.get(ValueLayout.JAVA_SHORT, entry + FIRST_COUNT + 2L * i);
    }

    private void setCount(long entry, int i, int count) {
        entries.set(ValueLayout.JAVA_SHORT, entry + FIRST_COUNT + 2L * i, (short) count);
    }

    private int stamp(long entry) {
        return entries.get(ValueLayout.JAVA_INT, entry + STAMP);
    }

    @Override
    public void close() {
        arena.close();
    }
}

package org.respec.bindings.gpu.jcuda;

import java.util.Arrays;

/** Address ranges of page-locked memory, to tell it from other host memory without allocating. */
final class PinnedRanges {
    private long[] starts = new long[16];
    private long[] ends = new long[16];
    private int count;

    synchronized void add(long start, long bytes) {
        if (count == starts.length) {
            starts = Arrays.copyOf(starts, 2 * count);
            ends = Arrays.copyOf(ends, 2 * count);
        }
        int at = -Arrays.binarySearch(starts, 0, count, start) - 1;
        System.arraycopy(starts, at, starts, at + 1, count - at);
        System.arraycopy(ends, at, ends, at + 1, count - at);
        starts[at] = start;
        ends[at] = start + bytes;
        count++;
    }

    synchronized void remove(long start) {
        int at = Arrays.binarySearch(starts, 0, count, start);
        System.arraycopy(starts, at + 1, starts, at, count - at - 1);
        System.arraycopy(ends, at + 1, ends, at, count - at - 1);
        count--;
    }

    /** Whether all of the range is in one piece of page-locked memory. */
    synchronized boolean contains(long start, long bytes) {
        int at = Arrays.binarySearch(starts, 0, count, start);
        int piece = at >= 0 ? at : -at - 2;
        return piece >= 0 && start + bytes <= ends[piece];
    }
}

package org.respec.engine.kv;

import java.util.Arrays;

/** Pages with reference counts and a stack of free ones. Allocates nothing after construction. */
final class BlockAllocator {
    private final int[] references;
    private final int[] free;
    private int freeCount;

    BlockAllocator(int pages) {
        references = new int[pages];
        free = new int[pages];
        for (int i = 0; i < pages; i++) {
            free[i] = pages - 1 - i;
        }
        freeCount = pages;
    }

    int freePages() {
        return freeCount;
    }

    /** Takes a page, with one reference. */
    int allocate() {
        if (freeCount == 0) {
            throw new IllegalStateException("no free page");
        }
        int page = free[--freeCount];
        references[page] = 1;
        return page;
    }

    void retain(int page) {
        if (references[page] < 1) {
            throw new IllegalStateException("page " + page + " is free");
        }
        references[page]++;
    }

    void release(int page) {
        if (references[page] < 1) {
            throw new IllegalStateException("page " + page + " is free already");
        }
        if (--references[page] == 0) {
            free[freeCount++] = page;
        }
    }

    int references(int page) {
        return references[page];
    }

    /** Throws unless free pages are just those without references, each listed once. */
    void verify() {
        boolean[] listed = new boolean[references.length];
        for (int i = 0; i < freeCount; i++) {
            if (listed[free[i]] || references[free[i]] != 0) {
                throw new IllegalStateException("page " + free[i] + " is listed twice or is in use");
            }
            listed[free[i]] = true;
        }
        long used = Arrays.stream(references).filter(r -> r > 0).count();
        if (used + freeCount != references.length) {
            throw new IllegalStateException(used + " pages in use and " + freeCount + " free of " + references.length);
        }
    }
}

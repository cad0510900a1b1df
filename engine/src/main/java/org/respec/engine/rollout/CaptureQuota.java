package org.respec.engine.rollout;

/**
 * Which requests' rows are kept for teaching, where whoever is taught takes them in by the order of requests and has room for so many
 * rows: each that the ones after it will not push out again. Requests end in any order, so that rows are kept for a while of some that
 * are pushed out by ones that end later; never more than there is room for, and one request's.
 */
final class CaptureQuota {
    /** Fewer rows teach nothing, and are not taken in. */
    static final int LEAST = 2;

    private final int room;
    private final int[] rows;
    /** Those up to this one are pushed out. */
    private int pushedOut = -1;

    CaptureQuota(int requests, int room) {
        this.room = room;
        rows = new int[requests];
    }

    /** Notes how many rows a request that has ended has; whether they are to be kept. */
    boolean keeps(int request, int count) {
        rows[request] = count >= LEAST && count <= room ? count : 0;
        long after = 0;
        int last = rows.length - 1;
        while (last > pushedOut && after < room) {
            after += rows[last--];
        }
        if (after >= room) {
            pushedOut = last;
        }
        return request > pushedOut;
    }

    /** The last request whose rows are pushed out, as are those of all before it; -1 for none. */
    int pushedOut() {
        return pushedOut;
    }
}

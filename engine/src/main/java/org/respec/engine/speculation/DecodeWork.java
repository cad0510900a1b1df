package org.respec.engine.speculation;

/** What the decode thread has been doing, for whoever watches it from another thread. */
final class DecodeWork {
    private volatile long busyNanos;
    private volatile int batch = 1;

    /** Only the decode thread adds. */
    void add(int liveRequests, long nanos) {
        batch = liveRequests;
        busyNanos += nanos;
    }

    long busyNanos() {
        return busyNanos;
    }

    int batch() {
        return batch;
    }
}

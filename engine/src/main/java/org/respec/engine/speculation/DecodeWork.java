package org.respec.engine.speculation;

import java.util.function.Supplier;

/** What the decode thread has been doing, for whoever watches it from another thread. */
final class DecodeWork {
    private final Supplier<String> numberOfThread;
    private volatile long busyNanos;
    private volatile int batch = 1;
    private Thread decoding;
    private volatile String thread = "";

    DecodeWork() {
        this(() -> "");
    }

    /** With what says the kernel's number of the calling thread. */
    DecodeWork(Supplier<String> numberOfThread) {
        this.numberOfThread = numberOfThread;
    }

    /** Only the decode thread adds. */
    void add(int liveRequests, long nanos) {
        if (decoding != Thread.currentThread()) {
            decoding = Thread.currentThread();
            thread = numberOfThread.get();
        }
        batch = liveRequests;
        busyNanos += nanos;
    }

    long busyNanos() {
        return busyNanos;
    }

    int batch() {
        return batch;
    }

    /** The kernel's number of the thread that decodes; empty before the first step, or where it is not known. */
    String thread() {
        return thread;
    }
}

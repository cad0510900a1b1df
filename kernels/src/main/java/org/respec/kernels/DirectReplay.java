package org.respec.kernels;

/** Runs work as it is. */
record DirectReplay() implements Replay {
    @Override
    public void run(int key, RowBatch batch, KvStore kv, int requests, int rows, Runnable work) {
        work.run();
    }

    @Override
    public void close() {
        // Nothing was recorded.
    }
}

package org.respec.kernels;

/**
 * Runs pieces of work that come again and again. Where the device can, a piece is recorded once it has come a few times and from
 * then on started as a whole, which spares the host its operators one by one.
 *
 * <p>A piece of work is a row of operators over the rows of a batch. It counts as the same if its key, batch, cache, requests and rows
 * are; then it must call the same operators on the same tensors with the same numbers. What the tensors hold may change, and how long
 * contexts are. It must not push, pull or wait, and what else it does on the host must not matter, since it is left out when recorded
 * work is started.
 */
public interface Replay extends AutoCloseable {
    /** Runs {@code work}, or what was recorded of it. {@code batch} has been filled: its host side tells how long contexts are. */
    void run(int key, RowBatch batch, KvStore kv, int requests, int rows, Runnable work);

    /** Forgets what was recorded; do so before tensors are freed that the work uses. */
    @Override
    void close();
}

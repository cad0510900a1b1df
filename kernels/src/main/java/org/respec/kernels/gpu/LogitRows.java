package org.respec.kernels.gpu;

import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** What the kernels over rows of logits have in common: the check of the argument, and launch sizes that depend on the columns alone. */
final class LogitRows {
    private static final int WARP = 32;
    /** Threads and bytes a thread of {@code vocab.cuh}. */
    private static final int CHUNK_THREADS = 256;
    private static final int HELD_BYTES = 64;

    private LogitRows() {
    }

    /** F32 or BF16, at least one column, {@code rows} rows or more. */
    static void check(String operator, Tensor logits, int rows) {
        if (logits.dtype() != DType.BF16) {
            Checks.dtype(operator, "logits", logits, DType.F32);
        }
        Checks.matrix(operator, "logits", logits, logits.dtype(), rows, logits.cols());
        if (logits.cols() < 1) {
            throw new IllegalArgumentException(operator + ": logits must have a column or more, got " + logits);
        }
    }

    static boolean half(Tensor logits) {
        return logits.dtype() == DType.BF16;
    }

    /** Threads of the block of one chunk. */
    static int chunkThreads(Tensor logits) {
        int held = HELD_BYTES / logits.dtype().bytes();
        int threads = (logits.cols() + held - 1) / held;
        return Math.min(CHUNK_THREADS, (threads + WARP - 1) / WARP * WARP);
    }

    /** Chunks of a row. */
    static int chunks(Tensor logits) {
        int chunk = chunkThreads(logits) * (HELD_BYTES / logits.dtype().bytes());
        return (logits.cols() + chunk - 1) / chunk;
    }

    /** Threads where one block has a whole row: a power of two from 32 to 1024, 16 bytes a thread and turn. */
    static int rowThreads(Tensor logits) {
        int perThread = 16 / logits.dtype().bytes();
        int turns = (logits.cols() + perThread - 1) / perThread;
        return Math.min(1024, Math.max(WARP, Integer.highestOneBit(2 * turns - 1)));
    }

    /** 1 / temperature, 0 counting as 1. */
    static float inverse(float temperature) {
        return temperature > 0 ? 1f / temperature : 1f;
    }
}

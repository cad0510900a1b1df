package org.respec.kernels.gpu;

/** How element-wise kernels cut rows into blocks: block b works on tile {@code b % tiles} of row {@code b / tiles}. */
final class Tiling {
    private static final int MOST_THREADS = 256;

    private Tiling() {
    }

    /** Threads of a block, in whole warps, where each thread takes {@code perThread} of a row's elements. */
    static int threads(long cols, int perThread) {
        long turns = Math.ceilDiv(cols, (long) perThread);
        return (int) Math.min(MOST_THREADS, Math.max(1, (turns + 31) / 32) * 32);
    }

    /** Blocks that a row needs. */
    static int tiles(long cols, int threads, int perThread) {
        return Math.toIntExact(Math.ceilDiv(cols, (long) threads * perThread));
    }

    /** Blocks that all rows need; throws {@link ArithmeticException} past what a grid holds. */
    static int blocks(int rows, int tiles) {
        return Math.multiplyExact(rows, tiles);
    }
}

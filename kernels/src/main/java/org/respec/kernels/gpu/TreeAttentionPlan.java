package org.respec.kernels.gpu;

/**
 * How one tree attention is cut into blocks. Every plan gives the same bits.
 *
 * @param shape what a block is
 * @param spanChunks chunks of columns that a block works off: 1, or {@link TreeAttentionKernel#SPAN_CHUNKS}
 * @param spans spans that the longest row may have; with more than one, parts are merged
 */
record TreeAttentionPlan(Shape shape, int spanChunks, int spans) {
    /** Warps that share a tile of columns, strips of 16 rows of each, teams of such warps that take alternate chunks. */
    enum Shape {
        /** One warp and 16 rows: decoding. */
        NARROW(1, 1, 1, 4),
        /** 64 rows: small trees, and others where there are few requests, so that all multiprocessors get some. */
        SPREAD(4, 1, 1, 2),
        /** 128 rows and two teams: trees and prefill in bulk. */
        WIDE(4, 2, 2, 1);

        private final int warps;
        private final int strips;
        private final int teams;
        private final int resident;

        Shape(int warps, int strips, int teams, int resident) {
            this.warps = warps;
            this.strips = strips;
            this.teams = teams;
            this.resident = resident;
        }

        int warps() {
            return warps;
        }

        int strips() {
            return strips;
        }

        int teams() {
            return teams;
        }

        int rows() {
            return 16 * strips * warps;
        }

        int threads() {
            return 32 * warps * teams;
        }

        /** Blocks with heads of 128 that a multiprocessor of 227 KB of shared memory and 64 K registers holds at once. */
        int resident() {
            return resident;
        }

        /** Whether a block can fold the chunks of a span. */
        boolean folds() {
            return this != NARROW;
        }
    }
}

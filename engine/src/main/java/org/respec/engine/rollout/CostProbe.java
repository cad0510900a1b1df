package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorInference;
import org.respec.engine.model.DeviceInitializer;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterInference;
import org.respec.engine.speculation.CostProfile;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.Ops;
import org.respec.kernels.Replay;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;

/**
 * Measures, on the machine at hand, what the plan solver needs to know before the first step: seconds of a verify pass and of a draft
 * pass over requests and rows per request. Runs the real passes on a scratch cache with a context of typical length.
 */
public final class CostProbe {
    private static final long SEED = 20261129;
    private static final int CONTEXT = 48;
    private static final int[] VERIFY_ROWS = {1, 2, 3, 4, 5, 6, 7, 9, 13, 17, 25, 33};
    private static final int[] DRAFT_ROWS = {1, 2, 3, 4, 6, 8};
    private static final int ROUNDS = 5;
    /** With blocks of 2 ms, 16 rows took 600 us instead of the 420 of a steady state: see {@link #round}. */
    private static final long BLOCK_NANOS = 8_000_000L;
    private static final long WARM_UP_WINDOW = 500_000_000L;
    private static final long WARM_UP_LIMIT = 12_000_000_000L;
    /** A round of warming up ends here: passes of a large model have compiled their code by then. */
    private static final long WARM_UP_ROUND = 2_000_000_000L;
    /** So long after the first round no further one begins. */
    private static final long ROUNDS_LIMIT = 8_000_000_000L;
    /** Passes of more than this are measured in one round alone: what disturbs them is short beside them. */
    private static final double LONG_SECONDS = 0.1;
    /** Rows that take so many times one row's time gain fewer tokens than that, and long passes of still more are not measured. */
    private static final int HOPELESS = TreeBatch.MAX_DEPTH + 1;

    private CostProbe() {
    }

    /**
     * Fills {@code profile} for up to {@code maxBatch} requests and {@code maxRows} rows a pass.
     *
     * @param drafter null to measure the actor alone
     */
    public static void measure(Ops ops, Actor actor, Drafter drafter, int maxBatch, int maxRows, CostProfile profile) {
        try (TensorArena arena = ops.arena("cost probe");
             Pass verify = new VerifyPass(ops, arena, actor, drafter, maxBatch, maxRows);
             Pass draft = drafter == null ? null : new DraftPass(ops, arena, drafter, maxBatch, maxBatch * TreeBatch.MAX_BRANCH)) {
            List<Cell> cells = new ArrayList<>();
            for (int batch = 1; batch <= maxBatch; batch = next(batch, maxBatch)) {
                for (int rows : VERIFY_ROWS) {
                    if ((long) batch * rows <= maxRows) {
                        cells.add(new Cell(verify, batch, rows, new double[ROUNDS]));
                    }
                }
                for (int rows : draft == null ? new int[0] : DRAFT_ROWS) {
                    cells.add(new Cell(draft, batch, rows, new double[ROUNDS]));
                }
            }
            warmUp(cells);
            // Round by round, so that whatever else the machine is doing hits all cells alike.
            round(cells, 0, Long.MAX_VALUE);
            int rounds = 1;
            for (long begin = System.nanoTime(); rounds < ROUNDS && System.nanoTime() - begin < ROUNDS_LIMIT; rounds++) {
                round(cells, rounds, Long.MAX_VALUE);
            }
            Cell plain = null;
            for (Cell cell : cells) {
                plain = cell.pass == verify && cell.rows == 1 ? cell : plain;
                double seconds = cell.seconds(plain, rounds);
                if (seconds == Double.POSITIVE_INFINITY) {
                    continue;
                }
                if (cell.pass == verify) {
                    profile.addVerify(cell.batch, cell.batch * cell.rows, seconds);
                } else {
                    profile.addDraft(cell.batch, cell.batch * cell.rows, seconds);
                }
            }
        }
    }

    /** Measures all cells, or, in rounds after the first, those that do not take long, until {@code limit} nanoseconds have passed. */
    private static void round(List<Cell> cells, int round, long limit) {
        long start = System.nanoTime();
        Cell plain = null;
        Cell before = null;
        for (Cell cell : cells) {
            if (System.nanoTime() - start >= limit) {
                return;
            }
            plain = cell.rows == 1 ? cell : plain;
            boolean hopeless = cell != plain && before.isLong() && before.seconds[0] > HOPELESS * plain.seconds[0];
            if (round == 0 || !cell.isLong()) {
                cell.seconds[round] = hopeless ? Double.POSITIVE_INFINITY : block(cell);
            }
            before = cell;
        }
    }

    /**
     * Least time of some passes of a kind in a row: what ran before still slows the first ones (after wide passes, a narrow one took twice
     * its time for some milliseconds), and rollouts run long stretches of one kind.
     */
    private static double block(Cell cell) {
        long begin = System.nanoTime();
        double least = Double.POSITIVE_INFINITY;
        do {
            long start = System.nanoTime();
            cell.pass.run(cell.batch, cell.rows);
            least = Math.min(least, (System.nanoTime() - start) * 1e-9);
        } while (System.nanoTime() - begin < BLOCK_NANOS);
        return least;
    }

    /** Runs rounds until they no longer get faster: before the JIT has settled, times mean nothing. */
    private static void warmUp(List<Cell> cells) {
        long begin = System.nanoTime();
        double before = Double.POSITIVE_INFINITY;
        int still = 0;
        while (still < 2 && System.nanoTime() - begin < WARM_UP_LIMIT) {
            long start = System.nanoTime();
            int rounds = 0;
            while (System.nanoTime() - start < WARM_UP_WINDOW || rounds < 2) {
                round(cells, 0, WARM_UP_ROUND);
                rounds++;
            }
            double now = (double) (System.nanoTime() - start) / rounds;
            still = now > 0.93 * before ? still + 1 : 0;
            before = Math.min(before, now);
        }
    }

    /** A point to measure. */
    private record Cell(Pass pass, int batch, int rows, double[] seconds) {
        /** Whether a pass takes so long that the first round's has to do. */
        boolean isLong() {
            return seconds[0] > LONG_SECONDS;
        }

        /**
         * What counts is the ratio to plain decoding of the same batch. A machine may be faster in one round than in the next, so the
         * ratio is taken round by round, and its median goes with plain decoding's least time. Infinite if it was not measured.
         */
        double seconds(Cell plain, int rounds) {
            int counted = isLong() || plain.isLong() ? 1 : rounds;
            double[] ratios = new double[counted];
            Arrays.setAll(ratios, round -> seconds[round] / plain.seconds[round]);
            Arrays.sort(ratios);
            return ratios[counted / 2] * Arrays.stream(plain.seconds, 0, plain.isLong() ? 1 : rounds).min().orElseThrow();
        }
    }

    private static int next(int batch, int maxBatch) {
        return batch == maxBatch ? maxBatch + 1 : Math.min(maxBatch, 2 * batch);
    }

    private abstract static class Pass implements AutoCloseable {
        final Ops ops;
        final BatchView batch;
        final PagedKvCache cache;
        final int[] sequences;
        /** Passes are timed as a rollout runs them: as graphs where the device has them. */
        private final Replay replay;
        private final Runnable work = this::pass;
        private int requests;
        private int rows;

        Pass(Ops ops, TensorArena arena, KvLayout layout, int maxBatch, int maxRows) {
            this.ops = ops;
            this.replay = ops.replay("cost probe");
            this.batch = new BatchView(arena, maxRows, maxBatch);
            this.cache = new PagedKvCache(ops, layout, maxBatch, CONTEXT + TreeBatch.MAX_NODES, "cost probe KV");
            this.sequences = new int[maxBatch];
            for (int i = 0; i < maxBatch; i++) {
                sequences[i] = cache.open();
                cache.reserve(sequences[i], CONTEXT);
                cache.commit(sequences[i], CONTEXT);
                cache.reserve(sequences[i], TreeBatch.MAX_NODES);
            }
            cache.sync();
            // Memory that was never touched would be the first passes' to fetch; and zeros are not what caches hold.
            DeviceInitializer.fill(ops, cache.store().data(), 1, SEED);
        }

        static int pages(int maxBatch, int pageSize) {
            return maxBatch * ((CONTEXT + TreeBatch.MAX_NODES) / pageSize + 2);
        }

        private void pass() {
            pass(requests, rows);
        }

        void run(int requests, int rowsEach) {
            this.requests = requests;
            rows = requests * rowsEach;
            batch.clear();
            for (int r = 0; r < requests; r++) {
                batch.addRequest(cache.row(sequences[r]), CONTEXT, r);
                for (int i = 0; i < rowsEach; i++) {
                    // A chain of four, then leaves: close to what trees look like.
                    long mask = (1L << i) | ((1L << Math.min(i, 4)) - 1);
                    batch.addRow(1, CONTEXT + Math.min(i, 4), cache.slot(sequences[r], CONTEXT + i), CONTEXT, mask);
                }
            }
            batch.push(ops);
            replay.run(0, batch.batch, cache.store(), requests, rows, work);
            ops.synchronize();
        }

        abstract void pass(int requests, int rows);

        @Override
        public void close() {
            replay.close();
            cache.close();
        }
    }

    private static final class VerifyPass extends Pass {
        private final ActorInference inference;
        private final HostMirror tokens;
        private final HostMirror logProbs;
        private final boolean capture;

        VerifyPass(Ops ops, TensorArena arena, Actor actor, Drafter drafter, int maxBatch, int maxRows) {
            super(ops, arena, new KvLayout(actor.dtype(), actor.config().numHiddenLayers(), actor.shape().kvHeads(), actor.shape().headDim(),
                16, pages(maxBatch, 16)), maxBatch, maxRows);
            capture = drafter != null;
            inference = new ActorInference(ops, actor, maxRows, capture ? drafter.config().featureLayerNumbers() : new int[0]);
            tokens = arena.mirror(DType.I32, 1, maxRows);
            logProbs = arena.mirror(DType.F32, 1, maxRows);
        }

        @Override
        void pass(int requests, int rows) {
            inference.forward(batch.batch, cache.store(), requests, rows, true, inference.ownFeatures());
            ops.sample(inference.logits(), batch.batch, SamplingParams.temperature(1f), 1, tokens.device(), logProbs.device(), rows);
        }

        @Override
        public void close() {
            super.close();
            inference.close();
        }
    }

    private static final class DraftPass extends Pass {
        private final DrafterInference inference;
        private final Tensor store;
        private final Tensor storeRows;

        DraftPass(Ops ops, TensorArena arena, Drafter drafter, int maxBatch, int maxRows) {
            super(ops, arena, new KvLayout(drafter.dtype(), 1, drafter.shape().kvHeads(), drafter.shape().headDim(), 16, pages(maxBatch, 16)),
                maxBatch, maxRows);
            inference = new DrafterInference(ops, drafter, maxRows, maxRows);
            store = arena.allocate(drafter.dtype(), 1, drafter.weights().get("fc.weight").cols());
            storeRows = arena.allocate(DType.I32, 1, maxRows);
        }

        @Override
        void pass(int requests, int rows) {
            inference.extend(store, storeRows, batch.batch, cache.store(), requests, rows);
            inference.heads(null, rows);
        }

        @Override
        public void close() {
            super.close();
            inference.close();
        }
    }
}

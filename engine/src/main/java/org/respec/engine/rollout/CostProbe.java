package org.respec.engine.rollout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.respec.engine.kv.PagedKvCache;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorInference;
import org.respec.engine.model.DeviceInitializer;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterInference;
import org.respec.engine.speculation.CostProfile;
import org.respec.engine.speculation.SpeculationPlan;
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
 * Measures, on the machine at hand, what the plan solver needs to know before the first step: what the two halves of a step take by
 * requests and plan, and what extending the drafter takes by rows. With a drafter, a rollout engine makes real steps ({@link StepTimer}):
 * passes alone leave out what the host does for trees. (For 64 requests of the bundled model they spoke for 2x1x2 at 1.12 times the speed
 * of off, where it had 0.94.) Without, actor's passes on a scratch cache have to do.
 */
public final class CostProbe {
    private static final long SEED = 20261129;
    private static final int CONTEXT = 48;
    /** Plans by the rows that they verify. One level tells what drafting costs beside passes, four tell what a level costs. */
    private static final List<SpeculationPlan> PLANS = Stream.of("off", "1x1x1", "2x1x2", "3x1x3", "4x1x4", "5x1x5", "6x1x6", "4x2x8",
        "4x2x12", "4x4x16", "6x4x24", "8x4x32").map(SpeculationPlan::parse).toList();
    private static final int LEVELS = 4;
    private static final int[] DRAFT_ROWS = {1, 2, 3, 4, 6, 8};
    /** Odd, so that the median is one of them: of four, the third least made plans dearer than they are, and two bad ones sufficed. */
    private static final int ROUNDS = 5;
    /** With blocks of 2 ms, 16 rows took 600 us instead of the 420 of a steady state: see {@link PassCell#measure}. */
    private static final long BLOCK_NANOS = 8_000_000L;
    private static final long WARM_UP_WINDOW = 1_000_000_000L;
    private static final long WARM_UP_LIMIT = 15_000_000_000L;
    /** What falls below such a share of its least time so far was not compiled, and not just disturbed. */
    private static final double COMPILED = 0.75;
    /** A round of warming up ends here: passes of a large model have compiled their code by then. */
    private static final long WARM_UP_ROUND = 2_000_000_000L;
    /** So long after the first round no further one begins. */
    private static final long ROUNDS_LIMIT = 8_000_000_000L;
    /** Passes of more than this are measured in one round alone: what disturbs them is short beside them. */
    private static final double LONG_SECONDS = 0.1;
    /** Rows that take so many times one row's time gain fewer tokens than that, and long passes of still more are not measured. */
    private static final int HOPELESS = TreeBatch.MAX_DEPTH + 1;
    private static final double LEAST_SECONDS = 1e-9;

    private CostProbe() {
    }

    /**
     * Fills {@code profile} for up to as many requests and rows a pass as {@code limits} has.
     *
     * @param drafter null to measure the actor alone
     */
    public static void measure(Ops ops, Actor actor, Drafter drafter, RolloutLimits limits, CostProfile profile) {
        int maxBatch = limits.maxBatch();
        try (TensorArena arena = ops.arena("cost probe");
             StepTimer timer = drafter == null ? null : new StepTimer(ops, actor, drafter, limits);
             Pass verify = drafter != null ? null : new VerifyPass(ops, arena, actor, maxBatch, limits.maxRows());
             Pass draft = drafter == null ? null : new DraftPass(ops, arena, drafter, maxBatch, maxBatch * TreeBatch.MAX_BRANCH)) {
            List<Cell> cells = new ArrayList<>();
            for (int batch = 1; batch <= maxBatch; batch = next(batch, maxBatch)) {
                for (SpeculationPlan plan : PLANS) {
                    int rows = plan.tokens() + 1;
                    if ((long) batch * rows <= limits.maxRows()) {
                        cells.add(timer == null ? new PassCell(verify, batch, rows) : new StepCell(timer, batch, plan));
                    }
                }
                for (int rows : draft == null ? new int[0] : DRAFT_ROWS) {
                    cells.add(new PassCell(draft, batch, rows));
                }
            }
            warmUp(cells);
            // Round by round, so that whatever else the machine is doing hits all cells alike.
            round(cells, 0, Long.MAX_VALUE);
            int rounds = 1;
            for (long begin = System.nanoTime(); rounds < ROUNDS && System.nanoTime() - begin < ROUNDS_LIMIT; rounds++) {
                round(cells, rounds, Long.MAX_VALUE);
            }
            fill(profile, cells, rounds, draft);
        }
    }

    private static void fill(CostProfile profile, List<Cell> cells, int rounds, Pass draft) {
        double[] passSeconds = new double[cells.size()];
        Cell plain = null;
        for (int i = 0; i < passSeconds.length; i++) {
            Cell cell = cells.get(i);
            plain = cell.rows == 1 && !(draft != null && cell instanceof PassCell) ? cell : plain;
            passSeconds[i] = cell.relative(cell.seconds, plain, rounds);
        }
        // More rows are more work: where fewer took longer, something else ran in most of the rounds, such as the JIT.
        for (int i = passSeconds.length - 2; i >= 0; i--) {
            if (cells.get(i).precedes(cells.get(i + 1))) {
                passSeconds[i] = Math.min(passSeconds[i], passSeconds[i + 1]);
            }
        }
        for (int i = 0; i < passSeconds.length; i++) {
            Cell cell = cells.get(i);
            if (passSeconds[i] == Double.POSITIVE_INFINITY) {
                continue;
            }
            if (draft != null && cell instanceof PassCell) {
                profile.addDraft(cell.batch, cell.batch * cell.rows, passSeconds[i]);
            } else {
                profile.addVerify(cell.batch, cell.batch * cell.rows, passSeconds[i]);
            }
        }
        double overhead = 0;
        for (Cell cell : cells) {
            if (!(cell instanceof StepCell step)) {
                continue;
            }
            plain = step.plan.isOff() ? step : plain;
            if (step.plan.isOff() || step.seconds[0] == Double.POSITIVE_INFINITY) {
                continue;
            }
            double levels = step.relative(step.draft, plain, rounds)
                - profile.draft(step.batch, Math.max(step.batch, (int) Math.round(step.tokens * step.batch)));
            if (step.plan.depth() == 1) {
                overhead = Math.max(LEAST_SECONDS, levels);
                profile.addOverhead(step.batch, overhead);
            } else if (step.plan.depth() == LEVELS && step.plan.tokens() == LEVELS * step.plan.branch()) {
                profile.addLevel(step.batch, step.batch * step.plan.branch(), Math.max(LEAST_SECONDS, (levels - overhead) / (LEVELS - 1)));
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
            if (round == 0 && hopeless) {
                cell.seconds[0] = Double.POSITIVE_INFINITY;
            } else if (round == 0 || !cell.isLong()) {
                cell.measure(round, cell == plain ? cell.seconds[0] : before.seconds[0]);
            }
            before = cell;
        }
    }

    /**
     * Runs rounds until no cell gets much faster any more: before the JIT has settled, times mean nothing. Each for itself: most cells take
     * as long as they are given, and one whose loop is interpreted does not show in all.
     */
    private static void warmUp(List<Cell> cells) {
        long begin = System.nanoTime();
        double[] least = new double[cells.size()];
        Arrays.fill(least, Double.POSITIVE_INFINITY);
        int still = 0;
        while (still < 2 && System.nanoTime() - begin < WARM_UP_LIMIT) {
            long start = System.nanoTime();
            boolean faster = false;
            do {
                round(cells, 0, WARM_UP_ROUND);
                for (int i = 0; i < least.length; i++) {
                    double now = cells.get(i).stepSeconds(0);
                    faster |= now < COMPILED * least[i] && now > 0;
                    least[i] = now > 0 ? Math.min(least[i], now) : least[i];
                }
            } while (System.nanoTime() - start < WARM_UP_WINDOW);
            still = faster ? 0 : still + 1;
        }
    }

    /** A point to measure: so many requests, with so many rows each. */
    private abstract static class Cell {
        final int batch;
        final int rows;
        final double[] seconds = new double[ROUNDS];

        Cell(int batch, int rows) {
            this.batch = batch;
            this.rows = rows;
        }

        /** Whether {@code next} is the same with more rows. */
        boolean precedes(Cell next) {
            return getClass() == next.getClass() && batch == next.batch && rows < next.rows;
        }

        /** Whether it takes so long that the first round has to do. */
        boolean isLong() {
            return seconds[0] > LONG_SECONDS;
        }

        /** Seconds of all that it measured in a round; 0 before it was. */
        double stepSeconds(int round) {
            return seconds[round];
        }

        /** Fills in a round; a little over {@code expected} seconds is what a step may take, 0 if that is not known. */
        abstract void measure(int round, double expected);

        /**
         * What counts is the ratio to plain decoding of the same batch. A machine may be faster in one round than in the next, so the
         * ratio is taken round by round, and its median goes with plain decoding's least time. Infinite if it was not measured.
         */
        double relative(double[] measured, Cell plain, int rounds) {
            int counted = isLong() || plain.isLong() ? 1 : rounds;
            double[] ratios = new double[counted];
            Arrays.setAll(ratios, round -> measured[round] / plain.seconds[round]);
            Arrays.sort(ratios);
            return ratios[counted / 2] * Arrays.stream(plain.seconds, 0, plain.isLong() ? 1 : rounds).min().orElseThrow();
        }
    }

    /** A pass alone. */
    private static final class PassCell extends Cell {
        private final Pass pass;

        PassCell(Pass pass, int batch, int rows) {
            super(batch, rows);
            this.pass = pass;
        }

        /**
         * Least time of some passes in a row: what ran before still slows the first ones (after wide passes, a narrow one took twice its
         * time for some milliseconds), and rollouts run long stretches of one kind.
         */
        @Override
        void measure(int round, double expected) {
            long begin = System.nanoTime();
            double least = Double.POSITIVE_INFINITY;
            do {
                long start = System.nanoTime();
                pass.run(batch, rows);
                least = Math.min(least, (System.nanoTime() - start) * 1e-9);
            } while (System.nanoTime() - begin < BLOCK_NANOS);
            seconds[round] = least;
        }
    }

    /** A plan's steps: {@code seconds} are those of the half that verifies. */
    private static final class StepCell extends Cell {
        private final StepTimer timer;
        private final SpeculationPlan plan;
        private final double[] draft = new double[ROUNDS];
        private double tokens;

        StepCell(StepTimer timer, int batch, SpeculationPlan plan) {
            super(batch, plan.tokens() + 1);
            this.timer = timer;
            this.plan = plan;
        }

        @Override
        double stepSeconds(int round) {
            return seconds[round] + draft[round];
        }

        @Override
        void measure(int round, double expected) {
            timer.run(batch, plan, BLOCK_NANOS, 1e9 * expected);
            draft[round] = timer.draftSeconds();
            seconds[round] = timer.verifySeconds();
            tokens = timer.tokens();
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
            begin(requests, rowsEach);
            batch.push(ops);
            replay.run(0, batch.batch, cache.store(), requests, rows, work);
            ops.synchronize();
        }

        /** Before a pass. */
        void begin(int requests, int rowsEach) {
            // Most passes need no more than their batch.
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

        VerifyPass(Ops ops, TensorArena arena, Actor actor, int maxBatch, int maxRows) {
            super(ops, arena, new KvLayout(actor.dtype(), actor.config().numHiddenLayers(), actor.shape().kvHeads(),
                actor.shape().headDim(), 16, pages(maxBatch, 16)), maxBatch, maxRows);
            inference = new ActorInference(ops, actor, maxRows, new int[0]);
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
        private final HostView lastRows;
        /** The last row of each request. */
        private final BatchView roots;

        DraftPass(Ops ops, TensorArena arena, Drafter drafter, int maxBatch, int maxRows) {
            super(ops, arena, new KvLayout(drafter.dtype(), 1, drafter.shape().kvHeads(), drafter.shape().headDim(), 16,
                pages(maxBatch, 16)), maxBatch, maxRows);
            inference = new DrafterInference(ops, drafter, maxRows, maxBatch);
            store = arena.allocate(drafter.dtype(), 1, drafter.weights().get("fc.weight").cols());
            storeRows = arena.allocate(DType.I32, 1, maxRows);
            lastRows = new HostView(arena.mirror(DType.I32, 1, maxBatch));
            roots = new BatchView(arena, maxBatch, maxBatch);
        }

        @Override
        void begin(int requests, int rowsEach) {
            roots.clear();
            for (int r = 0; r < requests; r++) {
                roots.addRequest(cache.row(sequences[r]), CONTEXT, r);
                roots.addRow(1, CONTEXT, 0, CONTEXT, 0L);
                lastRows.setInt(r, (r + 1) * rowsEach - 1);
            }
            lastRows.push(ops, requests);
            roots.push(ops);
        }

        @Override
        void pass(int requests, int rows) {
            inference.extend(store, storeRows, batch.batch, cache.store(), rows);
            inference.roots(lastRows.mirror().device(), roots.batch, cache.store(), requests);
        }

        @Override
        public void close() {
            super.close();
            inference.close();
        }
    }
}

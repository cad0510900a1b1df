package org.respec.kernels.cpu;

import java.lang.foreign.ValueLayout;
import org.respec.bindings.memory.HostArena;
import org.respec.bindings.memory.RawMemory;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Products with packed weights, spread over the pool: by panels while rows are few, so that every weight is read once, and by rows
 * when they are many. Neither changes a bit of any output.
 */
final class CpuLinear {
    /**
     * Up to so many rows a product takes as long as reading its weights, out of L3 at some 28 bytes a nanosecond on one thread (Intel
     * Xeon). With 3, products that gain by a second thread often went without: decode steps of one and two requests took 5 and 8 % longer.
     */
    private static final int LIGHT_ROWS = 7;
    /** Rows whose inputs stay in a core's cache while all panels pass by; a multiple of both kernels' rows. */
    private static final int ROW_BLOCK = 96;
    /** Rows for each thread under which a product is spread by panels. */
    private static final int FEW_ROWS = 24;
    /** What rows are shared out by. */
    private static final int ROW_TILE = WidePanelKernel.HERE ? WidePanelKernel.MAX_ROWS : PanelKernel.MAX_ROWS;
    /**
     * Weights of more bytes are spread by panels up to many more rows: by rows, every thread reads all of them. (64 rows by 100 M weights
     * in DRAM took 65 ms by panels and 96 by rows.) Small ones that caches hold are not: what works on the rows next finds them in its
     * core's cache (by panels, 64 rows of the bundled model took 3 % longer).
     */
    private static final long LARGE_BYTES = 1L << 20;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    /** Room for one kernel call's results: what it computes past the last output must not land in {@code y}. */
    private static final long SCRATCH_STRIDE = 2L * PanelKernel.WIDTH * 4;
    private static final long SCRATCH = SCRATCH_STRIDE * PanelKernel.MAX_ROWS;

    private final WorkerPool pool;
    private final WorkerPool.Part byPanels = this::panelPairs;
    private final WorkerPool.Part byRows = this::rowTiles;
    private final HostStorage scratch;

    // Arguments of the call in progress.
    private long x;
    private long xStride;
    private long y;
    private long yStride;
    private long weights;
    private long panelBytes;
    private int panels;
    private int inputs;
    private int outputs;
    private int rows;
    private boolean accumulate;
    /** Whether weights lie in caches, and sums by two panels fit the registers. */
    private boolean wide;
    private long spills;

    CpuLinear(WorkerPool pool, HostArena memory) {
        this.pool = pool;
        this.scratch = new HostStorage(memory, SCRATCH * pool.threads());
    }

    CpuPackedMatrix pack(TensorArena arena, Tensor weight) {
        Checks.dtype("pack", "weight", weight, DType.F32);
        int columns = Math.multiplyExact(weight.cols(), PanelKernel.WIDTH);
        CpuPackedMatrix packed = new CpuPackedMatrix(weight.rows(), weight.cols(),
            arena.allocate(DType.F32, CpuPackedMatrix.panels(weight.rows()), columns));
        repack(weight, packed);
        return packed;
    }

    void repack(Tensor weight, PackedMatrix packed) {
        CpuPackedMatrix to = ours("repack", "packed", packed);
        Checks.shape("repack", "weight", weight, to.outputs(), to.inputs());
        long from = weight.address();
        long data = to.data().address();
        int width = PanelKernel.WIDTH;
        for (int output = 0; output < to.outputs(); output++) {
            long source = from + output * weight.rowStride() * 4;
            long target = data + output / width * to.panelBytes() + output % width * 4L;
            for (int k = 0; k < to.inputs(); k++) {
                RawMemory.ALL.set(FLOAT, target + (long) k * width * 4, RawMemory.ALL.get(FLOAT, source + k * 4L));
            }
        }
    }

    void linear(Tensor input, PackedMatrix matrix, Tensor output, boolean add, int rowCount) {
        CpuPackedMatrix packed = ours("linear", "w", matrix);
        Checks.matrix("linear", "x", input, rowCount, packed.inputs());
        Checks.matrix("linear", "y", output, rowCount, packed.outputs());
        Checks.disjoint("linear", "y", output, "x", input);
        if (input.rowStride() > PanelKernel.MAX_STRIDE / (4 * PanelKernel.MAX_ROWS)) {
            throw new IllegalArgumentException("linear: x must have rows closer together, got " + input);
        }
        x = input.address();
        xStride = input.rowStride() * 4;
        y = output.address();
        yStride = output.rowStride() * 4;
        weights = packed.data().address();
        panelBytes = packed.panelBytes();
        inputs = packed.inputs();
        outputs = packed.outputs();
        panels = Math.ceilDiv(outputs, PanelKernel.WIDTH);
        rows = rowCount;
        accumulate = add;
        spills = scratch.address();
        boolean large = panels * panelBytes > LARGE_BYTES;
        wide = WidePanelKernel.HERE && !large;
        if (rowCount < FEW_ROWS * pool.threads() || rowCount < 2 * ROW_BLOCK * pool.threads() && large) {
            int pairs = (panels + 1) / 2;
            pool.run(byPanels, pairs, nanos((long) Math.max(rowCount, LIGHT_ROWS) * 2 * PanelKernel.WIDTH * inputs));
        } else {
            pool.run(byRows, Math.ceilDiv(rowCount, ROW_TILE), nanos((long) ROW_TILE * outputs * inputs));
        }
    }

    private static long nanos(long multiplyAdds) {
        return multiplyAdds / (3 * PanelKernel.SPECIES.length());
    }

    private void panelPairs(int from, int to, int thread) {
        compute(0, rows, 2 * from, Math.min(panels, 2 * to), spills + thread * SCRATCH);
    }

    private void rowTiles(int from, int to, int thread) {
        int end = Math.min(rows, to * ROW_TILE);
        for (int row = from * ROW_TILE; row < end; row += ROW_BLOCK) {
            compute(row, Math.min(end, row + ROW_BLOCK), 0, panels, spills + thread * SCRATCH);
        }
    }

    /** Rows {@code from} to {@code to} of the outputs of some panels. */
    private void compute(int from, int to, int firstPanel, int endPanel, long spill) {
        int rest = (to - from) % PanelKernel.MAX_ROWS;
        int tail = rest == 1 || rest == 2 ? rest : 0;
        for (int panel = firstPanel; panel < endPanel; panel += 2) {
            if (wide && panel + 1 < endPanel && to - from > 2) {
                wideTiles(from, to, panel, spill);
                continue;
            }
            tiles(from, to - tail, panel, spill);
            if (panel + 1 < endPanel) {
                tiles(from, to - tail, panel + 1, spill);
            }
            if (tail > 0) {
                tail(to - tail, tail, panel, spill);
            }
        }
    }

    /** Three to six rows at a time, all of them together touching the panel that comes after the next. */
    private void tiles(int from, int to, int panel, long spill) {
        if (from == to) {
            return;
        }
        long weight = weights + panel * panelBytes;
        int column = panel * PanelKernel.WIDTH;
        boolean whole = column + PanelKernel.WIDTH <= outputs;
        boolean add = accumulate & whole;
        boolean more = panel + 2 < panels;
        long ahead = more ? weight + 2 * panelBytes : weight;
        // Whole words, so that the last one ends with the panel; of many tiles none, which have enough to do without.
        long aheadStep = more ? PanelKernel.AHEAD_BYTES / Math.ceilDiv(to - from, PanelKernel.MAX_ROWS) & -4 : 0;
        int touched = 0;
        for (int row = from; row < to; row += PanelKernel.MAX_ROWS) {
            int live = Math.min(PanelKernel.MAX_ROWS, to - row);
            long source = x + row * xStride;
            long target = y + row * yStride + column * 4L;
            long out = whole ? target : spill;
            long outStride = whole ? yStride : SCRATCH_STRIDE;
            touched += switch (live) {
                case 3 -> PanelKernel.threeRows(source, xStride, weight, inputs, ahead, aheadStep, out, outStride, add);
                case 4 -> PanelKernel.fourRows(source, xStride, weight, inputs, ahead, aheadStep, out, outStride, add);
                case 5 -> PanelKernel.fiveRows(source, xStride, weight, inputs, ahead, aheadStep, out, outStride, add);
                default -> PanelKernel.sixRows(source, xStride, weight, inputs, ahead, aheadStep, out, outStride, add);
            };
            ahead += aheadStep * inputs;
            if (!whole) {
                finish(spill, target, live, outputs - column);
            }
        }
        // What is used nowhere the JIT would not load.
        RawMemory.ALL.set(INT, spill, touched);
    }

    /** Four rows at a time by two panels, the last ones three. */
    private void wideTiles(int from, int to, int panel, long spill) {
        long weight = weights + panel * panelBytes;
        int column = panel * PanelKernel.WIDTH;
        boolean whole = column + 2 * PanelKernel.WIDTH <= outputs;
        boolean add = accumulate & whole;
        int live;
        for (int row = from; row < to; row += live) {
            int left = to - row;
            live = left % WidePanelKernel.MAX_ROWS > 0 && left <= 9 ? 3 : WidePanelKernel.MAX_ROWS;
            if (left < live) {
                // Of five rows.
                tail(row, left, panel, spill);
                return;
            }
            long source = x + row * xStride;
            long target = y + row * yStride + column * 4L;
            long out = whole ? target : spill;
            long outStride = whole ? yStride : SCRATCH_STRIDE;
            if (live == 3) {
                WidePanelKernel.threeRows(source, xStride, weight, inputs, out, outStride, add);
            } else {
                WidePanelKernel.fourRows(source, xStride, weight, inputs, out, outStride, add);
            }
            if (!whole) {
                finish(spill, target, live, Math.min(2 * PanelKernel.WIDTH, outputs - column));
            }
        }
    }

    /** One or two rows: alone they would leave the multipliers idle, so they take two panels at a time. */
    private void tail(int row, int live, int panel, long spill) {
        long source = x + row * xStride;
        long weight = weights + panel * panelBytes;
        int column = panel * PanelKernel.WIDTH;
        boolean whole = column + 2 * PanelKernel.WIDTH <= outputs;
        long target = y + row * yStride + column * 4L;
        long out = whole ? target : spill;
        long outStride = whole ? yStride : SCRATCH_STRIDE;
        if (live == 1) {
            PanelKernel.oneRowTwoPanels(source, weight, inputs, out, accumulate & whole);
        } else {
            PanelKernel.twoRowsTwoPanels(source, xStride, weight, inputs, out, outStride, accumulate & whole);
        }
        if (!whole) {
            finish(spill, target, live, Math.min(2 * PanelKernel.WIDTH, outputs - column));
        }
    }

    /** Takes the columns that exist from the scratch results. */
    private void finish(long spill, long target, int live, int columns) {
        for (int row = 0; row < live; row++) {
            for (int c = 0; c < columns; c++) {
                float sum = RawMemory.ALL.get(FLOAT, spill + row * SCRATCH_STRIDE + c * 4L);
                long to = target + row * yStride + c * 4L;
                RawMemory.ALL.set(FLOAT, to, accumulate ? RawMemory.ALL.get(FLOAT, to) + sum : sum);
            }
        }
    }

    private static CpuPackedMatrix ours(String operator, String argument, PackedMatrix matrix) {
        if (matrix instanceof CpuPackedMatrix packed) {
            return packed;
        }
        throw new IllegalArgumentException(operator + ": " + argument + " must be packed by the CPU operators, got " + matrix);
    }
}

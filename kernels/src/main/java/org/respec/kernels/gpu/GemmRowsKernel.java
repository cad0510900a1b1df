package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code gemm_rows.cu}. Which tile a launch takes changes its time and none of its bits. */
final class GemmRowsKernel {
    /** Products of BF16: 16 {@code outputTiles} outputs of 8 {@code rowTiles} rows a block, fetched {@code stages} deep. */
    record Tile(int outputTiles, int rowTiles, int stages) {
        KernelSpec spec() {
            return BASE.with("BF16", 1).with("OUT_TILES", outputTiles).with("ROW_TILES", rowTiles).with("STAGES", stages);
        }

        int outputs() {
            return 16 * outputTiles;
        }

        int rows() {
            return 8 * rowTiles;
        }

        int sharedBytes() {
            return stages * (2 * outputTiles + rowTiles) * 4096;
        }
    }

    /** Products of F32: {@code outputs} outputs of {@code rows} rows a warp, four warps a block, {@code ahead} steps loaded at once. */
    record FloatTile(int outputs, int rows, int ahead) {
        KernelSpec spec() {
            return BASE.with("BF16", 0).with("OUTS", outputs).with("ROWS", rows).with("AHEAD", ahead);
        }
    }

    private static final KernelSpec BASE = KernelSpec.of("gemm_rows.cu", "gemm_rows");
    private static final int THREADS = 256;
    private static final int FLOAT_WARPS = 4;
    private static final int MOST_GRID_Y = 65_535;
    /** {@code sizeof(GemmArgs)}. */
    static final int ARGUMENT_BYTES = 72;
    /** Rows of the largest tile. */
    static final int MOST_ROWS = 64;

    /** For each number of rows the tiles that fit it, those that read least first; the last fits any device's shared memory. */
    static final List<Tile> TILES_8 = List.of(new Tile(1, 1, 4));
    static final List<Tile> TILES_16 = List.of(new Tile(2, 2, 4), new Tile(1, 2, 4));
    static final List<Tile> TILES_32 = List.of(new Tile(4, 4, 3), new Tile(2, 4, 3));
    static final List<Tile> TILES_64 = List.of(new Tile(4, 8, 3), new Tile(2, 8, 3), new Tile(2, 8, 2));
    static final List<FloatTile> FLOAT_TILES = List.of(new FloatTile(4, 1, 4), new FloatTile(4, 4, 2), new FloatTile(8, 8, 1));

    private final GpuContext gpu;
    private final Arguments arguments;
    private final int multiprocessors;
    private final int sharedBytes;
    private final List<Tile> tiles = new ArrayList<>();
    private final List<LoadedKernel> tileKernels = new ArrayList<>();
    private final List<LoadedKernel> floatKernels = new ArrayList<>();

    GemmRowsKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(ARGUMENT_BYTES);
        this.multiprocessors = gpu.driver().device().multiprocessors();
        this.sharedBytes = gpu.driver().device().sharedBytesPerBlock();
        for (List<Tile> some : List.of(TILES_8, TILES_16, TILES_32, TILES_64)) {
            tiles.addAll(some);
        }
        tiles.forEach(tile -> tileKernels.add(new LoadedKernel(gpu, tile.spec())));
        FLOAT_TILES.forEach(tile -> floatKernels.add(new LoadedKernel(gpu, tile.spec())));
    }

    static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (List<Tile> some : List.of(TILES_8, TILES_16, TILES_32, TILES_64)) {
            some.forEach(tile -> specs.add(tile.spec()));
        }
        FLOAT_TILES.forEach(tile -> specs.add(tile.spec()));
        return specs;
    }

    /** {@code y = x w^T} or {@code y += x w^T} of checked matrices; x and w of one type, y F32 or x's type. */
    void launch(Tensor x, Tensor w, Tensor y, boolean accumulate, int rows) {
        if (rows == 0 || w.rows() == 0) {
            return;
        }
        if (x.dtype() == DType.BF16) {
            launch(choose(rows, w.rows(), multiprocessors, sharedBytes), x, w, y, accumulate, rows);
        } else {
            launch(FLOAT_TILES.get(rows == 1 ? 0 : rows <= 4 ? 1 : 2), x, w, y, accumulate, rows);
        }
    }

    /** The tile with which the multiprocessor that gets the most blocks reads the least; of equals the first. */
    static Tile choose(int rows, int outputs, int multiprocessors, int sharedBytes) {
        List<Tile> fitting = rows <= 8 ? TILES_8 : rows <= 16 ? TILES_16 : rows <= 32 ? TILES_32 : TILES_64;
        Tile best = fitting.getLast();
        long least = Long.MAX_VALUE;
        for (Tile tile : fitting) {
            long blocks = (long) Math.ceilDiv(outputs, tile.outputs()) * Math.ceilDiv(rows, tile.rows());
            long read = Math.ceilDiv(blocks, multiprocessors) * (tile.outputs() + tile.rows());
            if (tile.sharedBytes() <= sharedBytes && read < least) {
                best = tile;
                least = read;
            }
        }
        return best;
    }

    void launch(Tile tile, Tensor x, Tensor w, Tensor y, boolean accumulate, int rows) {
        launch(tileKernels.get(tiles.indexOf(tile)), tile.rows(), tile.outputs(), THREADS, tile.sharedBytes(), x, w, y, accumulate, rows);
    }

    void launch(FloatTile tile, Tensor x, Tensor w, Tensor y, boolean accumulate, int rows) {
        launch(floatKernels.get(FLOAT_TILES.indexOf(tile)), tile.rows(), tile.outputs() * FLOAT_WARPS, 32 * FLOAT_WARPS, 0, x, w, y,
            accumulate, rows);
    }

    private void launch(LoadedKernel kernel, int tileRows, int tileOutputs, int threads, int shared, Tensor x, Tensor w, Tensor y,
                        boolean accumulate, int rows) {
        int outputBlocks = Math.ceilDiv(w.rows(), tileOutputs);
        if (outputBlocks > MOST_GRID_Y) {
            throw new IllegalArgumentException("linear: w must have at most " + (long) MOST_GRID_Y * tileOutputs + " rows, got " + w);
        }
        gpu.stream().launch(kernel.get(), Math.ceilDiv(rows, tileRows), outputBlocks, 1, threads, 1, shared,
            write(arguments, x, w, y, accumulate, rows));
    }

    /** The struct of {@code gemm.cuh}. */
    static MemorySegment write(Arguments arguments, Tensor x, Tensor w, Tensor y, boolean accumulate, int rows) {
        return arguments.begin().address(x).address(w).address(y).integer64(x.rowStride()).integer64(w.rowStride())
            .integer64(y.rowStride()).integer(rows).integer(w.rows()).integer(w.cols()).integer(accumulate ? 1 : 0)
            .integer(y.dtype() == DType.BF16 ? 1 : 0).integer(aligned(x, w) ? 1 : 0).end();
    }

    /** Whether every row of both begins at a multiple of 16 bytes. */
    static boolean aligned(Tensor x, Tensor w) {
        int size = x.dtype().bytes();
        return ((x.address() | w.address() | x.rowStride() * size | w.rowStride() * size) & 15) == 0;
    }
}

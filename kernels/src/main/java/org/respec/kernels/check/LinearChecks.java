package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;

/** Checks of matrix products and their gradients. */
final class LinearChecks {
    private static final int[][] SHAPES = {{1, 1}, {3, 7}, {17, 64}, {40, 41}, {64, 136}, {33, 1100}};
    private static final int[] ROWS = {0, 1, 3, 16, 41, 64, 100};
    private static final double BF16 = 4e-3;
    /** Sums of products around 1 in another order; a product that is missing would be off by 0.03 and more. */
    private static final double F32_SUMS = 1e-5;
    /** Tensor cores cut the sums of a step off where the CPU rounds: a few 2^-23 a step, all in one direction. */
    private static final double TENSOR_SUMS = 3e-5;

    private LinearChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("linear" + name, bench -> linear(bench, dtype)));
            checks.add(new OperatorCheck("linear invariance" + name, bench -> invariance(bench, dtype)));
            checks.add(new OperatorCheck("fastLinear" + name, bench -> products(bench, dtype, "fastLinear", Ops::fastLinear)));
            checks.add(new OperatorCheck("linearBackwardInput" + name, bench -> backwardInput(bench, dtype)));
            checks.add(new OperatorCheck("linearBackwardWeight" + name, bench -> backwardWeight(bench, dtype)));
        }
        checks.add(new OperatorCheck("linear invariance of many outputs bf16", LinearChecks::manyOutputs));
        checks.add(new OperatorCheck("linear refusals", LinearChecks::refusals));
        return checks;
    }

    private static double sums(DType operands) {
        return operands == DType.F32 ? F32_SUMS : TENSOR_SUMS;
    }

    /** Weights around 1 / sqrt(inputs), so that results are around 1 whatever the shape. */
    private static Twin weight(CheckBench bench, DType dtype, int outputs, int inputs, int gap) {
        return bench.normal(dtype, outputs, inputs, gap, 1 / Math.sqrt(inputs));
    }

    private static void linear(CheckBench bench, DType dtype) {
        products(bench, dtype, "linear", Ops::linear);
        repack(bench, dtype);
    }

    /** {@link Ops#linear} or {@link Ops#fastLinear}. */
    @FunctionalInterface
    private interface Product {
        void run(Ops ops, Tensor x, PackedMatrix w, Tensor y, boolean add, int rows);
    }

    /** To a tolerance, since a fast product may sum in any order; what is not added to is poisoned. */
    private static void products(CheckBench bench, DType dtype, String name, Product product) {
        for (int[] shape : SHAPES) {
            for (int rows : ROWS) {
                for (DType result : dtype == DType.F32 ? new DType[] {DType.F32} : new DType[] {DType.F32, DType.BF16}) {
                    int gap = rows % 3;
                    Twin w = weight(bench, dtype, shape[0], shape[1], gap);
                    Twin x = bench.normal(dtype, rows, shape[1], gap, 1);
                    boolean add = rows % 2 == 1;
                    Twin y = add ? bench.normal(result, rows + 1, shape[0], gap, 1) : bench.poisoned(result, rows + 1, shape[0], gap);
                    PackedMatrix truth = bench.truth().pack(bench.truthArena(), w.truth());
                    PackedMatrix device = bench.device().pack(bench.deviceArena(), w.device());
                    bench.require(device.outputs() == shape[0] && device.inputs() == shape[1], "the packed matrix has another shape");
                    product.run(bench.truth(), x.truth(), truth, y.truth(), add, rows);
                    product.run(bench.device(), x.device(), device, y.device(), add, rows);
                    String what = name + " " + rows + "x" + shape[1] + " to " + shape[0] + (add ? ", added" : "");
                    // The row past the live ones is as it was.
                    bench.compare(what, y, add ? rows + 1 : rows, result == DType.F32 ? 1e-6 : BF16, sums(dtype));
                    if (!add) {
                        bench.untouched(what, y, rows);
                    }
                }
            }
        }
    }

    private static void repack(CheckBench bench, DType dtype) {
        Twin w = weight(bench, dtype, 5, 12, 0);
        Twin x = bench.normal(dtype, 2, 12, 0, 1);
        Twin y = bench.poisoned(DType.F32, 2, 5, 0);
        PackedMatrix truth = bench.truth().pack(bench.truthArena(), w.truth());
        PackedMatrix device = bench.device().pack(bench.deviceArena(), w.device());
        w.set(4, 11, 7);
        w.push();
        bench.truth().repack(w.truth(), truth);
        bench.device().repack(w.device(), device);
        bench.truth().linear(x.truth(), truth, y.truth(), false, 2);
        bench.device().linear(x.device(), device, y.device(), false, 2);
        bench.compare("linear after repack", y, 2, 1e-6, sums(dtype));
        // A weight of the other type is converted to the packed one's.
        for (int gap : new int[] {0, 3}) {
            Twin other = weight(bench, dtype == DType.F32 ? DType.BF16 : DType.F32, 5, 12, gap);
            bench.device().repack(other.device(), device);
            Twin rounded = bench.poisoned(dtype, 5, 12, 0);
            for (int r = 0; r < 5; r++) {
                for (int c = 0; c < 12; c++) {
                    rounded.set(r, c, other.want(r, c));
                }
            }
            rounded.push();
            bench.truth().repack(rounded.truth(), truth);
            bench.truth().linear(x.truth(), truth, y.truth(), false, 2);
            bench.device().linear(x.device(), device, y.device(), false, 2);
            bench.compare("linear after repack from another type", y, 2, 1e-6, sums(dtype));
        }
    }

    /** A row's result has the same bits among any number of rows, in any place, and at any alignment of x and y. */
    private static void invariance(CheckBench bench, DType dtype) {
        for (int[] shape : new int[][] {{40, 41}, {48, 320}, {33, 1100}}) {
            int most = 100;
            PackedMatrix w = bench.device().pack(bench.deviceArena(), weight(bench, dtype, shape[0], shape[1], 0).device());
            Twin x = bench.normal(dtype, most, shape[1], 0, 1);
            Twin whole = bench.poisoned(DType.F32, most, shape[0], 0);
            bench.device().linear(x.device(), w, whole.device(), false, most);
            whole.pull();
            for (int rows : new int[] {1, 3, 8, 16, 30, 41, 64, 100}) {
                int from = (most - rows) / 2;
                Twin moved = bench.poisoned(dtype, rows, shape[1], rows % 2);
                Twin some = bench.poisoned(DType.F32, rows, shape[0], rows % 3);
                bench.device().copy(x.device().rows(from, from + rows), moved.device(), rows);
                bench.device().linear(moved.device(), w, some.device(), false, rows);
                some.pull();
                for (int r = 0; r < rows; r++) {
                    for (int c = 0; c < shape[0]; c++) {
                        bench.require(some.got(r, c) == whole.got(from + r, c), "linear " + shape[1] + " to " + shape[0] + ": row "
                            + (from + r) + ", column " + c + " is " + some.got(r, c) + " among " + rows + " rows and "
                            + whole.got(from + r, c) + " among " + most);
                    }
                }
            }
        }
    }

    /** So many outputs that the tiles for many rows fill any device there is: their bits must be those of few rows. */
    private static void manyOutputs(CheckBench bench) {
        int outputs = 19_200;
        int inputs = 72;
        int rows = 70;
        int few = 9;
        Twin weight = weight(bench, DType.BF16, outputs, inputs, 0);
        PackedMatrix truth = bench.truth().pack(bench.truthArena(), weight.truth());
        PackedMatrix w = bench.device().pack(bench.deviceArena(), weight.device());
        Twin x = bench.normal(DType.BF16, rows, inputs, 0, 1);
        Twin whole = bench.poisoned(DType.F32, rows, outputs, 0);
        Twin some = bench.poisoned(DType.F32, few, outputs, 0);
        bench.truth().linear(x.truth(), truth, whole.truth(), false, rows);
        bench.device().linear(x.device(), w, whole.device(), false, rows);
        bench.device().linear(x.device().rows(rows - few, rows), w, some.device(), false, few);
        bench.compare("linear " + rows + "x" + inputs + " to " + outputs, whole, rows, 1e-6, TENSOR_SUMS);
        some.pull();
        for (int r = 0; r < few; r++) {
            for (int c = 0; c < outputs; c++) {
                bench.require(some.got(r, c) == whole.got(rows - few + r, c),
                    "row " + r + ", column " + c + " depends on the number of rows");
            }
        }
    }

    private static void backwardInput(CheckBench bench, DType dtype) {
        for (int[] shape : SHAPES) {
            for (int rows : new int[] {0, 1, 3, 41}) {
                for (DType result : dtype == DType.F32 ? new DType[] {DType.F32} : new DType[] {DType.F32, DType.BF16}) {
                    int gap = 2 * (rows % 3);
                    Twin w = bench.normal(dtype, shape[0], shape[1], gap, 1 / Math.sqrt(shape[0]));
                    Twin dY = bench.normal(dtype, rows, shape[0], gap, 1);
                    Twin dX = bench.normal(result, rows + 1, shape[1], gap, 1);
                    boolean add = rows % 2 == 1;
                    bench.truth().linearBackwardInput(dY.truth(), w.truth(), dX.truth(), add, rows);
                    bench.device().linearBackwardInput(dY.device(), w.device(), dX.device(), add, rows);
                    bench.compare("linearBackwardInput " + rows + "x" + shape[0] + " to " + shape[1] + (add ? ", added" : ""), dX, rows + 1,
                        result == DType.F32 ? 1e-6 : BF16, sums(dtype));
                }
            }
        }
    }

    private static void backwardWeight(CheckBench bench, DType dtype) {
        for (int[] shape : SHAPES) {
            for (int rows : new int[] {0, 1, 3, 41, 401}) {
                int gap = 2 * (rows % 3);
                Twin dY = bench.normal(dtype, rows, shape[0], gap, 1 / Math.sqrt(rows + 1));
                Twin x = bench.normal(dtype, rows, shape[1], gap, 1);
                Twin dW = bench.normal(DType.F32, shape[0], shape[1], gap, 1);
                bench.truth().linearBackwardWeight(dY.truth(), x.truth(), dW.truth(), rows);
                bench.device().linearBackwardWeight(dY.device(), x.device(), dW.device(), rows);
                bench.compare("linearBackwardWeight of " + rows + " rows, " + shape[0] + "x" + shape[1], dW, shape[0], 1e-6,
                    sums(dtype));
            }
        }
    }

    private static void refusals(CheckBench bench) {
        Ops ops = bench.device();
        Tensor weight = bench.normal(DType.F32, 6, 8, 0, 1).device();
        Tensor both = bench.normal(DType.F32, 4, 16, 0, 1).device();
        Tensor x = both.columns(0, 8);
        Tensor y = both.columns(8, 14);
        Tensor half = bench.normal(DType.BF16, 4, 8, 0, 1).device();
        Tensor ints = bench.ints(1, 2, 3).device();
        PackedMatrix w = ops.pack(bench.deviceArena(), weight);
        Class<IllegalArgumentException> bad = IllegalArgumentException.class;
        ops.linear(x, w, y, false, 4);
        bench.refuses("pack of integers", bad, () -> ops.pack(bench.deviceArena(), ints));
        bench.refuses("repack of another shape", bad, () -> ops.repack(weight.rows(0, 5), w));
        bench.refuses("linear with the CPU's weight", bad, () -> ops.linear(x,
            bench.truth().pack(bench.truthArena(), bench.truthArena().allocate(DType.F32, 6, 8)), y, false, 4));
        bench.refuses("linear of 5 rows of 4", bad, () -> ops.linear(x, w, y, false, 5));
        bench.refuses("linear of -1 rows", bad, () -> ops.linear(x, w, y, false, -1));
        bench.refuses("linear of other columns", bad, () -> ops.linear(both.columns(0, 7), w, y, false, 4));
        bench.refuses("linear of other types", bad, () -> ops.linear(half, w, y, false, 4));
        bench.refuses("linear onto its input", bad, () -> ops.linear(x, w, both.columns(2, 8), false, 4));
        bench.refuses("fastLinear of 5 rows of 4", bad, () -> ops.fastLinear(x, w, y, false, 5));
        bench.refuses("fastLinear of other types", bad, () -> ops.fastLinear(half, w, y, false, 4));
        bench.refuses("linearBackwardInput of other types", bad, () -> ops.linearBackwardInput(y, half, x, false, 4));
        bench.refuses("linearBackwardInput onto its input", bad,
            () -> ops.linearBackwardInput(both.columns(0, 6), weight, both.columns(4, 12), false, 4));
        bench.refuses("linearBackwardWeight of other rows", bad, () -> ops.linearBackwardWeight(y, x, weight, 5));
        bench.refuses("linearBackwardWeight of another shape", bad, () -> ops.linearBackwardWeight(x, y, weight, 4));
    }
}
